"""Each cell of the table of formats is proved by a test that exists."""

import ast
from pathlib import Path

import pytest

from ecgnb.records.formats.overview import PROPERTIES, list_formats

# For each family, the tests that prove its cells, in the order of PROPERTIES.
PROOFS = {
    "table (CSV, TSV, text)": (
        "test_tables.py: a_rate_that_contradicts_the_times_or_the_head_is_refused",
        "test_tables.py: a_unit_is_taken_from_where_it_stands",
        "test_tables.py: unknown_names_are_mapped_by_the_caller",
        "test_tables.py: gaps_in_a_time_column_are_missing_samples_and_noted",
        "test_tables.py: times_that_leave_the_order_open_are_refused",
        "test_tables.py: every_dialect_comes_back_within_a_digital_unit",
    ),
    "Apple Health": (
        "test_watches.py: the_rate_of_an_apple_watch_is_the_one_in_its_head",
        "test_watches.py: an_apple_watch_is_read_in_any_language",
        "test_watches.py: a_watch_is_lead_one_unless_the_caller_says_where_it_was_held",
        "test_watches.py: text_in_an_apple_file_is_refused_with_its_line",
        "test_watches.py: an_apple_watch_is_read_in_any_language",
        "test_watches.py: an_apple_file_saved_again_in_another_encoding_is_read",
    ),
    "Polar Sensor Logger": (
        "test_watches.py: a_polar_strap_is_read_with_its_rate",
        "test_watches.py: a_polar_strap_is_read_with_its_rate",
        "test_watches.py: a_polar_strap_elsewhere_is_named_by_its_channel",
        "test_watches.py: lost_packets_of_a_polar_strap_are_missing_samples",
        "test_tables.py: times_that_leave_the_order_open_are_refused",
        "test_tables.py: every_dialect_comes_back_within_a_digital_unit",
    ),
    "Kardia, Withings, Fitbit, Health Auto Export": (
        "test_watches.py: the_json_of_other_watches_is_read",
        "test_watches.py: a_kardia_file_is_read_raw_in_its_own_resolution",
        "test_watches.py: a_kardia_file_is_read_raw_in_its_own_resolution",
        "test_watches.py: a_null_in_a_json_file_is_a_missing_sample",
        "test_watches.py: a_json_file_of_several_recordings_or_of_none_is_refused",
        "test_watches.py: the_signal_csv_of_withings_is_in_the_unit_of_its_device",
    ),
    "EDF, BDF": (
        "test_edf.py: another_rate_of_a_signal_nobody_wants_is_no_reason",
        "test_edf.py: an_edf_file_without_a_unit_takes_the_one_that_is_given",
        "test_edf.py: names_are_those_of_every_other_format",
        "test_edf.py: a_recording_with_gaps_is_refused_not_joined",
        "test_edf.py: a_lead_twice_is_refused_unless_it_is_said_which_one_is_meant",
        "test_round_trips.py: twelve_leads_come_back_within_a_digital_unit",
    ),
    "hospital (MUSE, DICOM, aECG, SCP, Sierra)": (
        "test_hospital.py: a_rate_that_no_ecg_has_is_refused",
        "test_hospital.py: a_unit_that_the_file_lacks_is_asked_for",
        "test_round_trips.py: eight_leads_become_twelve_by_arithmetic_and_the_notes_say_so",
        "test_hospital.py: leads_out_of_step_are_refused",
        "test_hospital.py: a_lead_twice_is_refused",
        "test_hospital.py: xml_that_declares_anything_is_refused_before_a_parser_sees_it",
    ),
    "WFDB": (
        "test_records.py: time_and_date_are_not_read",
        "test_records.py: microvolts_become_millivolts_however_they_are_written",
        "test_records.py: names_of_wfdb_signals_are_those_of_every_other_format",
        "test_records.py: missing_samples_stay_missing",
        "test_records.py: a_lead_twice_is_refused_only_if_it_is_wanted",
        "test_records.py: a_micro_sign_is_read_in_either_encoding",
    ),
}


def test_the_table_has_a_text_for_every_family_and_property():
    table = list_formats()
    assert list(table.columns) == list(PROPERTIES)
    assert list(table.index) == list(PROOFS)
    assert table.map(len).gt(0).all(axis=None)


@pytest.mark.parametrize("family", PROOFS)
def test_each_cell_of_the_table_is_proved_by_a_test(family):
    folder = Path(__file__).parent
    assert len(PROOFS[family]) == len(PROPERTIES)
    for proof in PROOFS[family]:
        file, name = proof.split(": ")
        tree = ast.parse((folder / file).read_text(encoding="utf-8"))
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert f"test_{name}" in names
