# SPDX-License-Identifier: Apache-2.0
"""A life is what was, in whatever order and however often it is told; and what would show if it were not."""

import itertools
import unittest
from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import strategies as st

from ceilometer_paas.ledger.evidence import Evidence
from ceilometer_paas.ledger.intervals import Life, Span, fold, testimonies
from ceilometer_paas.model import DELETED, Fact
from tests import lives
from tests.lives import HOUR, NOON, SECOND, Told

Fold = Callable[[Told], Life]


def arrival_order(told: Told) -> Life:
    """Fold as is done most often, and wrongly: what comes holds from its time on."""
    spans: list[Span] = []
    for _, fact in told:
        if spans and spans[-1].end is None and fact.state is not None:
            spans[-1] = spans[-1]._replace(end=fact.time)
        if fact.state not in (None, DELETED):
            spans.append(Span(fact.time, None, fact.state, fact.project_id, fact.user_id, fact.size, None, None))
    return Life(tuple(spans), True, {})


def last_wins(told: Told) -> Life:
    """Fold as an inventory does, and wrongly: it always was what the newest message says."""
    begin, end = min(fact.time for _, fact in told), min(
        (fact.time for _, fact in told if fact.state == DELETED), default=None)
    newest = max((fact.timestamp, fact.state, fact.project_id or '', name) for name, fact in told
                 if fact.state not in (None, DELETED))
    size = dict(told)[newest[3]].size
    return Life((Span(begin, end, newest[1], newest[2], None, size, None, None),), True, {})


def commutes(fold: Fold, told: Told, shuffled: Told) -> bool:
    """The same messages in another order, some of them twice, tell the same life."""
    return fold(shuffled) == fold(told)


def is_true(fold: Fold, one: Any) -> bool:
    """A life that was told in full is what was."""
    return lives.was(fold(one.told)) == one.lives()


def is_whole(fold: Fold, told: Told) -> bool:
    """Spans follow each other without gaps or overlaps, none is empty, none is before creation or after the end."""
    spans = fold(told).spans
    ends = [fact.ended for _, fact in told if fact.ended is not None]
    born = [fact.created for _, fact in told if fact.created is not None]
    return (all(one.end == other.begin for one, other in itertools.pairwise(spans))
            and all(span.end is None or span.begin < span.end for span in spans)
            and (not spans or not ends or spans[-1].end is not None and spans[-1].end <= min(ends) + SECOND)
            and (not spans or not born or spans[0].begin >= min(born) // SECOND * SECOND))


def shuffled(draw: Callable[..., Any], told: Told) -> Told:
    again: Told = draw(st.lists(st.sampled_from(told), max_size=5))
    return draw(st.permutations(told + again))


@st.composite
def histories(draw: st.DrawFn) -> Told:
    """Draw all that is told of a life, by either or both formats if it is a machine of Nova."""
    one = draw(st.one_of(lives.servers(), lives.services()))
    if isinstance(one, lives.Server):
        return draw(st.sampled_from([one.told, one.versioned(), one.told + one.versioned()]))
    return one.told


def given(*strategies: Any, examples: int = 60) -> Any:
    """Check a property by some examples; by the same in each run."""
    return lambda test: hypothesis.settings(max_examples=examples, deadline=None, derandomize=True, database=None)(
        hypothesis.given(*strategies)(test))


class Properties(unittest.TestCase):

    @given(st.one_of(lives.servers(), lives.services()), examples=200)
    def test_what_was_told_in_full_is_what_was(self, one):
        self.assertEqual(lives.was(lives.folded(one.told)), one.lives())
        self.assertTrue(lives.folded(one.told).known_start)

    @given(histories(), st.data())
    def test_any_order_and_any_repetition_tell_the_same(self, told, data):
        other = shuffled(data.draw, told)
        self.assertTrue(commutes(lives.folded, told, other))
        self.assertEqual(lives.evidence(other).dump(), lives.evidence(told).dump())

    @given(histories(), st.data())
    def test_any_parts_that_are_put_away_in_between_tell_the_same(self, told, data):
        known = Evidence()
        for part in lives.parts(shuffled(data.draw, told), data.draw(st.lists(st.integers(0, 999), max_size=4))):
            known = Evidence.load(lives.evidence(part, known).dump())
        self.assertEqual(known.dump(), lives.evidence(told).dump())
        self.assertEqual(fold(known), lives.folded(told))

    @given(histories(), st.data())
    def test_whatever_is_lost_a_life_is_whole(self, told, data):
        some = data.draw(st.lists(st.sampled_from(told), min_size=1))
        self.assertTrue(is_whole(lives.folded, some))

    @given(histories())
    def test_the_seconds_add_up(self, told):
        spans = lives.folded(told).spans
        until = spans[-1].end or told[-1][1].timestamp
        self.assertEqual(sum((span.end or until) - span.begin for span in spans), until - spans[0].begin)

    @given(lives.servers(), examples=100)
    def test_either_format_and_both_tell_the_same_within_a_second(self, server):
        legacy = lives.was(lives.folded(server.told))
        for told in (server.versioned(), server.told + server.versioned()):
            made = lives.was(lives.folded(told))
            self.assertEqual([one[2:] for one in made], [one[2:] for one in legacy])
            for one, other in zip(made, legacy, strict=True):
                self.assertLess(abs(one[0] - other[0]), SECOND)
                self.assertLess(abs((one[1] or 0) - (other[1] or 0)), SECOND)

    @given(st.one_of(lives.servers(), lives.services()), st.lists(st.floats(0, 1), max_size=5))
    def test_one_more_audit_adds_nothing(self, one, moments):
        before = lives.was(lives.folded(one.told))
        begin = one.told[1 % len(one.told)][1].timestamp + one.lag
        for moment in moments:
            one.audit(begin + int(moment * max(0, (one.ended or one.now) - begin - 1)))
        self.assertEqual(lives.was(lives.folded(one.told)), before)

    @given(lives.servers(), st.data())
    def test_one_witness_more_or_less_changes_nothing(self, server, data):
        before = lives.folded(server.told)
        without = [(name, fact) for name, fact in server.told if fact.kind != 'witness']
        self.assertEqual(lives.folded(without), before)
        for name, fact in data.draw(st.lists(st.sampled_from(server.told), max_size=5)):
            server.told.append((f'again-{name}', fact._replace(
                kind='witness', state=None, every=0, time=fact.timestamp + HOUR, timestamp=fact.timestamp + HOUR)))
        self.assertEqual(lives.folded(server.told), before)

    @given(st.lists(lives.anything(), max_size=8), st.data(), examples=400)
    def test_whatever_is_told_is_folded(self, told, data):
        """Also by clocks that are wrong by years, and by services that contradict themselves."""
        self.assertTrue(is_whole(lives.folded, told))
        self.assertTrue(commutes(lives.folded, told, data.draw(st.permutations(told))))
        self.assertLessEqual(len(testimonies(lives.evidence(told))), 4 * len(told))


class BrokenFolds(unittest.TestCase):
    """The properties find what is wrong with a fold that is."""

    def found(self, strategy: st.SearchStrategy[Any], breaks: Callable[[Any], bool]) -> None:
        """Expect that there is an example, which hypothesis fails to find otherwise."""
        example = hypothesis.find(strategy, breaks, settings=hypothesis.settings(
            max_examples=500, derandomize=True, database=None, phases=[hypothesis.Phase.generate]))
        self.assertTrue(breaks(example))

    def shuffled(self) -> st.SearchStrategy[tuple[Told, Told]]:
        return histories().flatmap(lambda told: st.tuples(st.just(told), st.permutations(told)))

    def test_arrival_order(self):
        self.found(self.shuffled(), lambda orders: not commutes(arrival_order, *orders))
        self.found(self.shuffled(), lambda orders: not is_whole(arrival_order, orders[1]))
        self.found(lives.servers(), lambda server: not is_true(arrival_order, server))

    def test_last_wins(self):
        self.found(lives.servers(), lambda server: not is_true(last_wins, server))
        self.found(lives.services(), lambda service: not is_true(last_wins, service))

    def test_they_are_no_caricatures(self):
        """Both are right as long as little happens."""
        begins = Fact('a-type', 'an-id', 'transition', 'an-event', NOON, NOON, 'active', size=lives.SIZES[0])
        ends = begins._replace(time=NOON + HOUR, timestamp=NOON + HOUR, state=DELETED)
        simple: Told = [('begins', begins), ('ends', ends)]
        for broken in (arrival_order, last_wins):
            self.assertEqual(lives.was(broken(simple)), lives.was(lives.folded(simple)))
