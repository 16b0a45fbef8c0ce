"""Many fits as tasks that can resume; each study writes one recorded table."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "changes": ["run_changes"],
        "conditions": ["run_conditions"],
        "costs": ["forecast", "read_durations"],
        "delineation": ["choose_delineation", "summarise_delineation"],
        "diagnosis": ["ARMS", "MARGIN", "NOT_TOLD", "summarise_diagnosis"],
        "heads": ["compare_cells", "describe_cells", "middle_cell"],
        "lead_sets": ["USUAL_SETS", "run_lead_sets"],
        "day_scores": ["DaysResult", "compare_days", "read_day_rows", "summarise_days"],
        "days": ["run_days"],
        "leaks": ["band_scores", "filter_leak", "scaling_leak", "window_leak"],
        "measures": ["MEASURE_METHODS", "compare_measures", "measure_recording"],
        "multiverse": ["near_paper", "run_multiverse", "summarise_members"],
        "population": ["run_population"],
        "reconstruction": ["run_reconstruction"],
        "runner": ["Outcome"],
        "watch_leads": ["WATCH_ARMS", "summarise_watch_leads"],
        "symptoms": ["compare_symptoms"],
    },
)
