"""A `Record` becomes arrays that a model can take, without leaks."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "beats": ["WAVES", "align_beats", "average_beat", "find_peaks", "wave_masks"],
        "description": [
            "compare_descriptions",
            "describe_records",
            "list_quality",
            "list_records",
            "match_records",
            "name_known",
            "summarise_origins",
        ],
        "filters": ["clean", "filter_signals"],
        "placement": ["find_misplaced", "misplace", "turn_over"],
        "preparation": [
            "Prepared",
            "PreprocessingOptions",
            "clean_parts",
            "prepare_record",
            "split_patients",
        ],
        "steps": ["follow_steps", "step_figures"],
    },
)
