"""massctl policy: the words about policies agree with the tables that make them."""

import json

import pytest
from click import Context

from aimass import cli
from aimass.cli_policy import describe
from aimass.cli_sim_run import run
from aimass.policies.described import NEEDS, POLICIES, example
from aimass.policies.registry import ALLOTTERS, ORDERS, RANKED
from aimass.simulator import parity_gavel, parity_pollux, run_policies


def test_every_policy_is_described_and_every_described_one_is_there() -> None:
    by_round = {**parity_gavel.POLICIES, **parity_pollux.ROUNDS}
    known = {*run_policies.NAMES, *run_policies.PUBLISHED, *ORDERS, *ALLOTTERS, *by_round}
    assert {*POLICIES} == known
    assert {name for name, one in POLICIES.items() if one.rounds_s} == {*by_round}


def test_who_preempts_for_its_order_says_so() -> None:
    for name in ORDERS:
        assert POLICIES[name].is_preempting == (name in RANKED), name
    assert all(POLICIES[name].is_preempting for name in ALLOTTERS)


@pytest.mark.parametrize("name", [*run_policies.NAMES, *run_policies.PUBLISHED])
def test_described_options_are_taken_and_are_what_is_done_without_them(name: str) -> None:
    plain = _tag(name)
    for option in POLICIES[name].options:
        assert option.name in run_policies.OPTIONS
        if option.default != "all 1":  # a table of prices; nobody writes that one down
            assert _tag(f"{name}:{option.name}={option.default}") == plain


def _tag(label: str) -> str:
    (named,) = run_policies.parse_policies(label)
    policy = named.make()
    limits = getattr(policy.order, "limits_gpu_ms", None) or getattr(policy.order, "_limits", "")
    return f"{policy.tag} {limits}"


def test_levels_of_las_are_an_option_of_las_alone() -> None:
    with_limits = {name for name, one in POLICIES.items() if "limits" in _options(name)}
    assert with_limits == {"las"}
    assert _tag("las:limits=1/2") != _tag("las")


def test_promises_are_an_option_of_who_makes_them() -> None:
    for name in run_policies.NAMES:
        if "promises" in _options(name):
            (named,) = run_policies.parse_policies(f"{name}:promises=3")
            assert named.make().options.promises == 3
            assert not named.make().order.is_strict
        else:
            with pytest.raises(ValueError, match="no option 'promises'"):
                run_policies.parse_policies(f"{name}:promises=3")


def _options(name: str) -> set[str]:
    return {option.name for option in POLICIES[name].options}


def test_what_is_needed_has_an_answer_for_who_does_not_tell_it() -> None:
    for one in POLICIES.values():
        assert {*one.needs} <= {*NEEDS}
        assert bool(one.needs) == bool(one.without), one.name


def test_the_list_is_short_lines_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["policy", "ls"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(POLICIES)
    assert cli.run(["policy", "ls", "-o", "name"]) == 0
    assert capsys.readouterr().out.split() == [*POLICIES]
    assert cli.run(["policy", "ls", "-o", "json"]) == 0
    items = json.loads(capsys.readouterr().out)["items"]
    assert [item["name"] for item in items] == [*POLICIES]
    by_name = {item["name"]: item for item in items}
    assert by_name["las"]["options"][1]["default"] == "3250/7200"
    assert by_name["fair"]["daemon"]
    assert not by_name["pollux-tiresias"]["daemon"]
    assert all(item["elastic"] is POLICIES[item["name"]].is_elastic for item in items)


@pytest.mark.parametrize("name", [*POLICIES])
def test_a_description_says_all_that_there_is(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one = POLICIES[name]
    assert cli.run(["policy", "describe", name]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for words in (one.line, one.does, one.source, one.without, example(one)):
        assert " ".join(words.split()) in text
    assert all(f"{option.name}={option.default}" in text for option in one.options)


def test_an_unknown_policy_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["policy", "describe", "fare"]) == 3
    assert "did you mean fair?" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["policy_text", "others"])
def test_tab_completes_the_last_of_several_policies(option: str) -> None:
    (param,) = (param for param in run.params if param.name == option)
    found = param.shell_complete(Context(run), "fair,srt")
    assert [item.value for item in found] == ["fair,srtf", "fair,srtf-gpu"]


def test_tab_completes_names() -> None:
    (argument,) = (param for param in describe.params if param.name == "name")
    found = argument.shell_complete(describe.make_context("describe", ["x"]), "gavel-m")
    assert [item.value for item in found] == [
        *("gavel-max-min", "gavel-max-min-perf", "gavel-makespan", "gavel-makespan-perf")
    ]
