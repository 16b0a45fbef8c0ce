"""Records whose truth is known."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "cohort": ["plan_cohort"],
        "conditions": ["CONDITION_MODELS"],
        "synthesis": ["SimulationOptions", "simulate_record", "simulate_twins"],
    },
)
