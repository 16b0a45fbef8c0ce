"""Twelve leads from one: how much of an ECG one lead tells, and what networks look at.

The everyday names; each is loaded when it is first used, PyTorch only when a network is asked for.
"""

import lazy_loader as lazy

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=[
        "book",
        "cli",
        "explanation",
        "figures",
        "reconstruction",
        "records",
        "signals",
        "simulation",
        "studies",
    ],
    submod_attrs={
        "book.chapter": ["open_chapter"],
        "explanation.audit": ["audit_maps"],
        "explanation.groups": ["fit_group", "relevance_maps"],
        "figures.ecg": ["plot_ecg"],
        "leads": ["LEADS"],
        "reconstruction.methods": ["METHODS", "score_method"],
        "reconstruction.personal": ["fit_personal", "reconstruct"],
        "reconstruction.scores": ["summarise"],
        "reconstruction.streaming": ["stream"],
        "records.databases": ["load_database"],
        "records.record": ["Record", "RecordError"],
        "records.recordings": ["read_recording"],
        "signals.beats": ["find_peaks"],
        "signals.preparation": ["prepare_record"],
        "simulation.synthesis": ["simulate_record"],
    },
)
__all__ += ["__version__"]
