"""The engine: what it keeps changes no choice, and nothing is given out twice."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aimass.core.shapes import Shape
from aimass.policies import pack_engine, pack_kernels
from aimass.policies.pack_engine import NodeSize, Packer
from aimass.policies.pack_learn import TERMS
from aimass.policies.pack_policies import KERNELS, PackPolicy
from tests.house.tree import ROOT

NODES = 12
SIZES = (
    NodeSize(96_000, 4096, (1000,) * 8, "G2"),
    NodeSize(104_000, 4096, (1000,) * 2, "T4"),
    NodeSize(16_000, 1024, (1000,) * 2, "P100"),
    NodeSize(32_000, 2048, (1000, 0, 1000, 1000), "G2"),
)
SHAPES = (
    Shape(12_000, 64, 0, 0, ()),
    Shape(3_000, 64, 1, 810, ()),
    Shape(8_000, 64, 1, 470, ()),
    Shape(4_000, 64, 1, 160, ("T4", "P100")),
    Shape(11_000, 64, 1, 1000, ()),
    Shape(18_000, 64, 1, 1000, ("G2",)),
    Shape(16_000, 512, 2, 1000, ()),
    Shape(64_000, 2048, 8, 1000, ()),
)
CLASSES = {shape._replace(memory_mib=0): 10 + at for at, shape in enumerate(SHAPES)}
which = st.integers(0, NODES - 1)


class Life(RuleBasedStateMachine):
    """Pods come and go, nodes come, change, fall sick and are lost."""

    policy = "fgd"

    def __init__(self) -> None:
        super().__init__()
        self.packer = Packer(PackPolicy(self.policy, CLASSES))
        self.pods: list[tuple[int, Shape, tuple[int, ...]]] = []

    @rule(node=which, size=st.sampled_from(SIZES))
    def node_comes_or_changes(self, node: int, size: NodeSize) -> None:
        """Also where pods are held."""
        self.packer.set_node(node, size)

    @rule(node=which)
    def node_is_lost(self, node: int) -> None:
        """Its pods are not released yet."""
        if node < len(self.packer.nodes.model):
            self.packer.remove_node(node)

    @rule(shape=st.sampled_from(SHAPES), count=st.integers(1, 5))
    def pods_come(self, shape: Shape, count: int) -> None:
        """What is chosen has room, and is taken."""
        for _ in range(count):
            self.packer.submitted(shape)
            choice = self.packer.best(shape)
            if choice is None:
                return
            nodes = self.packer.nodes
            assert all(nodes.gpu_free[choice.node][list(choice.devices)] >= shape.gpu_milli)
            assert nodes.cpu_free[choice.node] >= shape.cpu_milli
            assert nodes.memory_free[choice.node] >= shape.memory_mib
            assert nodes.is_there[choice.node] == 1
            self.packer.take(choice.node, shape, choice.devices)
            self.pods.append((choice.node, shape, choice.devices))

    @precondition(lambda self: self.pods)
    @rule(at=st.integers(0, 1000))
    def pod_ends(self, at: int) -> None:
        """Any of them, also on a node that is lost."""
        self.packer.release(*self.pods.pop(at % len(self.pods)))

    @rule(shape=st.sampled_from(SHAPES), mask=st.integers(0, (1 << NODES) - 1))
    def kept_scores_are_those_of_a_look_at_every_node(self, shape: Shape, mask: int) -> None:
        """Whatever happened since; and the best of the allowed is the first of the best."""
        packer = self.packer
        packer.best(shape)
        mix, ask = packer._tables(), packer.models.ask(shape)
        fresh = []
        for node in range(len(packer.nodes.model)):
            score = pack_kernels.NEVER
            if pack_kernels.fits(packer.nodes, node, ask):
                kernel = packer.policy.kernel
                score, _ = pack_kernels.score_of(kernel, mix, packer._live, packer.nodes, node, ask)
            fresh.append(int(score))
        assert packer._rows[shape, packer._price_key].scores.tolist() == fresh
        is_allowed = np.array([bool(mask >> node & 1) for node in range(len(fresh))])
        able = [s for s, allowed in zip(fresh, is_allowed, strict=True) if allowed]
        choice = packer.best(shape, is_allowed)
        if max(able, default=pack_kernels.NEVER) == pack_kernels.NEVER:
            assert choice is None
        else:
            assert choice is not None
            first = next(n for n, s in enumerate(fresh) if s == max(able) and is_allowed[n])
            assert (choice.node, choice.score) == (first, max(able))

    @invariant()
    def nothing_is_given_out_twice(self) -> None:
        """What is taken is the sum over the pods; what is free is what is left, never below 0."""
        books, nodes = self.packer.books, self.packer.nodes
        used = np.zeros_like(books.gpu_used)
        for node, shape, devices in self.pods:
            used[node, list(devices)] += shape.gpu_milli
        assert (books.gpu_used == used).all()
        assert (nodes.gpu_free == np.maximum(0, books.gpu_size - used)).all()
        assert (used <= 1000).all()
        assert nodes.tags.sum() == sum(shape.gpus > 0 for _, shape, _ in self.pods)


class MassLife(Life):
    """The same for the policy that learns."""

    policy = "mass"


class ClusteringLife(Life):
    """The same for the policy that looks at who else is there."""

    policy = "gpu-clustering"


TestLife = Life.TestCase
TestMassLife = MassLife.TestCase
TestClusteringLife = ClusteringLife.TestCase
TestLife.settings = TestMassLife.settings = TestClusteringLife.settings = settings(
    max_examples=40, stateful_step_count=25
)


def filled(policy: PackPolicy, pods: int = 400) -> tuple[Packer, list[object]]:
    """Fill a cluster with shapes in a fixed order; give the packer and its choices."""
    packer = Packer(policy)
    for node in range(40):
        packer.set_node(node, SIZES[node % len(SIZES)])
    choices: list[object] = []
    for at in range(pods):
        shape = SHAPES[at * 7 % 31 % len(SHAPES)]
        packer.submitted(shape)
        choice = packer.best(shape)
        choices.append(choice)
        if choice is not None:
            packer.take(choice.node, shape, choice.devices)
    return packer, choices


@pytest.mark.parametrize("name", KERNELS)
def test_a_small_memory_changes_no_choice(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for the scores of two shapes, and a log that forgets, all is as before."""
    policy = PackPolicy(name, CLASSES, seed=5)
    packer, choices = filled(policy)
    assert len(packer._rows) >= len(SHAPES)
    monkeypatch.setattr(pack_engine, "CELLS_MAX", 2 * len(packer.nodes.model))
    small, same = filled(policy)
    assert len(small._rows) == 2
    assert same == choices


def test_a_full_log_forgets_its_older_half() -> None:
    """Who needs what was forgotten looks at every node again."""
    packer, _ = filled(PackPolicy("fgd", CLASSES))
    shape = SHAPES[2]
    before = packer.best(shape)
    for _ in range(len(packer._log)):
        packer.take(0, SHAPES[0], ())
        packer.release(0, SHAPES[0], ())
    assert packer._log_begin > 0
    assert packer._rows[shape, b""].at < packer._log_begin
    assert packer.best(shape) == before


PLAIN = """
import hashlib, sys
if sys.argv[1] == "absent":
    sys.modules["numba"] = None
from aimass.policies.pack_jit import IS_COMPILED
from aimass.policies.pack_policies import PackPolicy
from tests.policies.test_pack_engine import CLASSES, KERNELS, filled
made = [filled(PackPolicy(name, CLASSES))[1] for name in KERNELS]
print(IS_COMPILED, hashlib.sha256(repr(made).encode()).hexdigest())
"""


def test_compiled_and_plain_place_alike() -> None:
    """With numba, with numba told to leave functions alone, and without numba."""
    pytest.importorskip("numba")
    answers = []
    for how, disabled in (("there", "0"), ("there", "1"), ("absent", "0")):
        done = subprocess.run(
            [sys.executable, "-c", PLAIN, how],
            cwd=ROOT,
            env={**os.environ, "NUMBA_DISABLE_JIT": disabled},
            capture_output=True,
            text=True,
            check=True,
        )
        answers.append(done.stdout.split())
    assert [answer[0] for answer in answers] == ["True", "False", "False"]
    assert len({answer[1] for answer in answers}) == 1


@settings(max_examples=30)
@given(st.lists(st.sampled_from(SHAPES), max_size=40))
def test_the_terms_of_mass_add_up_to_its_score(shapes: list[Shape]) -> None:
    """Each can be shown, and each can be left out."""
    policies = [PackPolicy("mass"), *(PackPolicy("mass", terms=(term,)) for term in TERMS)]
    for policy in policies:
        packer = Packer(policy)
        for node in range(8):
            packer.set_node(node, SIZES[node % len(SIZES)])
        for shape in shapes:
            packer.submitted(shape)
            choice = packer.best(shape)
            if choice is None:
                assert all(packer.terms(shape, node) == {} for node in range(8))
                continue
            terms = packer.terms(shape, choice.node)
            assert tuple(terms) == TERMS
            assert sum(terms.values()) == choice.score
            assert all(terms[term] == 0 for term in TERMS if term not in policy.terms)
            packer.take(choice.node, shape, choice.devices)


@pytest.mark.parametrize("devices", [(), (0, 0), (8,), (-1,)])
def test_devices_that_cannot_be_are_refused(devices: tuple[int, ...]) -> None:
    """Too few, one twice, beyond the last, before the first."""
    packer, _ = filled(PackPolicy("fgd", CLASSES), 0)
    shape = SHAPES[6] if len(devices) == 2 else SHAPES[4]
    with pytest.raises(ValueError, match="devices"):
        packer.take(0, shape, devices)


@pytest.mark.parametrize(
    "size",
    [
        NodeSize(1000, 1, (1000,) * 9, "G2"),
        NodeSize(1000, 1, (500,), "G2"),
        NodeSize(-1, 1, (1000,), "G2"),
        NodeSize(1 << 40, 1, (1000,), "G2"),
        NodeSize(1000, -1, (1000,), "G2"),
    ],
)
def test_nodes_that_cannot_be_are_refused(size: NodeSize) -> None:
    """And nothing of them is kept."""
    packer = Packer(PackPolicy("fgd", CLASSES))
    with pytest.raises(ValueError, match="node 3"):
        packer.set_node(3, size)
    assert not packer.nodes.is_there.any()


def test_more_models_than_there_are_bits_for_are_refused() -> None:
    """Sixty-two names fit into one integer."""
    packer = Packer(PackPolicy("fgd", CLASSES))
    for node in range(62):
        packer.set_node(node, NodeSize(1000, 1, (1000,), f"m{node}"))
    with pytest.raises(ValueError, match="62 GPU models"):
        packer.set_node(62, NodeSize(1000, 1, (1000,), "m62"))


def test_a_model_that_comes_later_has_its_place_in_the_tables() -> None:
    """The tables are as wide as the models that are known."""
    packer, _ = filled(PackPolicy("fgd", CLASSES), 50)
    wanted = Shape(64_000, 64, 4, 1000, ("B200",))
    assert packer.best(wanted) is None
    packer.set_node(60, NodeSize(64_000, 4096, (1000,) * 4, "B200"))
    choice = packer.best(wanted)
    assert choice is not None
    assert choice.node == 60
