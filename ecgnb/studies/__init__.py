"""Many fits as tasks that can resume; each study writes one recorded table."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "conditions": ["run_conditions"],
        "costs": ["forecast", "read_durations"],
        "leaks": ["band_scores", "filter_leak", "scaling_leak", "window_leak"],
        "multiverse": ["near_paper", "run_multiverse", "summarise_members"],
        "population": ["run_population"],
        "reconstruction": ["run_reconstruction"],
        "runner": ["Outcome"],
        "symptoms": ["compare_symptoms"],
    },
)
