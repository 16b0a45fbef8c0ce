"""Many fits as tasks that can resume; each study writes one recorded table."""
