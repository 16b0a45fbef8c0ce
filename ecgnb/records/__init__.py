"""A file or a database becomes a checked, labelled `Record`, and back."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "catalogue": ["DATABASES"],
        "databases": ["database_of", "find_records", "load_database", "load_record"],
        "formats.overview": ["list_formats"],
        "labels": ["CONDITIONS", "ORIGINS", "TWADB_FROM_PTBDB", "condition_slug"],
        "record": ["Record", "RecordError"],
        "recordings": ["read_recording"],
        "wfdb_files": ["read_record", "write_record"],
    },
)
