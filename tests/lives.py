# SPDX-License-Identifier: Apache-2.0
"""Machines and services that live for a while, what is said of them, and what they really were."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

from ceilometer_paas.ledger.evidence import Evidence
from ceilometer_paas.ledger.intervals import Life, fold
from ceilometer_paas.ledger.parts import own_end, parent_of, within
from ceilometer_paas.model import DELETED, Fact

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
NOON = 1_772_452_800 * SECOND
"""2026-03-02 12:00 in UTC."""

PROJECTS = ('a-project', 'another-project')
SIZES: tuple[dict[str, Any], ...] = ({'flavor': 'std.2', 'vcpus': 2}, {'flavor': 'std.8', 'vcpus': 8})

Told = list[tuple[str, Fact]]
Was = tuple[int, int | None, str, str, str | None]
"""A span's begin, end, state, project and flavor."""

# Of each action: from which states it leads to which, and whether the machine is launched anew.
_ACTIONS: dict[str, tuple[frozenset[str], str, bool]] = {
    'power_off': (frozenset({'active'}), 'stopped', False),
    'power_on': (frozenset({'stopped'}), 'active', False),
    'pause': (frozenset({'active'}), 'paused', False),
    'unpause': (frozenset({'paused'}), 'active', False),
    'suspend': (frozenset({'active'}), 'suspended', False),
    'resume': (frozenset({'suspended'}), 'active', False),
    'finish_resize': (frozenset({'active', 'stopped'}), 'resized', True),
    'resize.confirm': (frozenset({'resized'}), 'active', False),
    'resize.revert': (frozenset({'resized'}), 'active', True),
    'rebuild': (frozenset({'active'}), 'active', True),
    'rescue': (frozenset({'active', 'stopped'}), 'rescued', True),
    'unrescue': (frozenset({'rescued'}), 'active', False),
    'shelve': (frozenset({'active', 'stopped'}), 'shelved', False),
    'shelve_offload': (frozenset({'shelved'}), 'shelved_offloaded', False),
    'unshelve': (frozenset({'shelved_offloaded'}), 'active', True),
    'soft_delete': (frozenset({'active', 'stopped'}), 'soft-delete', False),
    'restore': (frozenset({'soft-delete'}), 'active', False),
}


def folded(told: Iterable[tuple[str, Fact]]) -> Life:
    """Fold what was told of one resource."""
    return fold(evidence(told))


def evidence(told: Iterable[tuple[str, Fact]], known: Evidence | None = None) -> Evidence:
    """Take in what was told of one resource."""
    known = Evidence() if known is None else known
    for message_id, fact in told:
        known.add(message_id, fact)
    return known


def together(known: Mapping[tuple[str, str], Evidence]) -> dict[tuple[str, str], Life]:
    """Fold what is known of several resources, of which some may be parts of others."""
    lives = {key: fold(evidence) for key, evidence in known.items()}
    ends = {key: own_end(known[key], life) for key, life in lives.items()}
    return {key: within(life, ends.get(parent_of(life.attributes) or ('', ''))) for key, life in lives.items()}


def was(life: Life) -> list[Was]:
    """Say what a life was, in short."""
    return [(span.begin, span.end, span.state, span.project_id or '', span.size.get('flavor')) for span in life.spans]


class _Resource:
    """Something that lives, and of which the truth is known.

    :ivar told: messages that tell of it, in the order in which they were sent
    :ivar truth: since when it was in which state, whose and of which size
    """

    def __init__(self, at: int) -> None:
        self.now = at
        self.told: Told = []
        self.truth: list[tuple[int, str, str, int]] = []
        self.ended: int | None = None

    def say(self, kind: str, event_type: str, timestamp: int, **told: Any) -> None:
        """Send a message; the state that it tells is that of a moment before it."""
        fact = Fact('a-type', 'an-id', kind, event_type, told.pop('time', timestamp), timestamp, **told)
        self.told.append((f'{event_type}-{len(self.told)}', fact))

    def become(self, at: int, state: str, project: str, size: int) -> None:
        self.now = at
        self.truth.append((at, state, project, size))

    def seen(self, at: int) -> tuple[int, str, str, int]:
        """Tell what it was at a moment."""
        return max((one for one in self.truth if one[0] <= at), key=lambda one: one[0])

    def lives(self) -> list[Was]:
        """Say in short what it was all along."""
        ends = [*(begin for begin, *_ in self.truth[1:]), self.ended]
        spans: list[Was] = []
        for (begin, state, project, size), end in zip(self.truth, ends, strict=True):
            told = state, project, SIZES[size]['flavor']
            if spans and spans[-1][2:] == told:
                begin = spans.pop()[0]
            spans.append((begin, end, *told))
        return spans


class Server(_Resource):
    """A machine of Nova, as its legacy notifications tell of it.

    :param lag: how much older than the message an audit's state is
    """

    def __init__(self, at: int, boot: int, lag: int) -> None:
        super().__init__(at)
        self.created = at // SECOND * SECOND
        self.launches: list[int] = []
        self.before = 0
        self.lag = lag
        self.become(min(self.created + SECOND - 1, at + SECOND // 5), 'building', PROJECTS[0], 0)
        self.tell('transition', 'create.start', at + SECOND // 5)
        self.launches.append(_exact(at + boot))
        self.become(self.launches[0], 'active', PROJECTS[0], 0)
        self.tell('transition', 'create.end', self.now + SECOND // 3, time=self.now)

    def tell(self, kind: str, event_type: str, timestamp: int, *, lag: int = 0, **told: Any) -> None:
        """Send a notification."""
        begin, state, project, size = self.seen(timestamp - lag)
        launched = max((at for at in self.launches if at <= timestamp - lag), default=None)
        self.say(kind, event_type, timestamp, project_id=project, size=SIZES[size], **{
            'state': None if kind == 'witness' else state, 'created': self.created, 'created_state': 'building',
            'launched': launched, 'launched_state': state if state in ('resized', 'rescued') else 'active', **told})

    def act(self, choice: int, gap: int) -> None:
        """Do one of the things that it can do now; it is told a little later if the machine is launched by it."""
        _, state, project, size = self.truth[-1]
        name, (_, becomes, launches) = [item for item in _ACTIONS.items() if state in item[1][0]][
            choice % sum(state in states for states, _, _ in _ACTIONS.values())]
        at = _exact(self.now + gap)
        self.tell('witness', f'{name}.start', at - SECOND)
        if name == 'finish_resize':
            self.before, size = size, 1 - size
        elif name == 'resize.revert':
            size = self.before
        if launches:
            self.launches.append(at)
        self.become(at, becomes, project, size)
        self.tell('transition', f'{name}.end', at + SECOND // 2 if launches else at)
        self.tell('transition', 'update', at + SECOND // 2 + 20_000)

    def audit(self, timestamp: int) -> None:
        """Audit it, if it is on a host."""
        if self.seen(timestamp - self.lag)[1] not in ('building', 'shelved_offloaded'):
            self.tell('observation', 'exists', timestamp, lag=self.lag, every=3900)

    def audits(self) -> None:
        """Audit it each hour of its life."""
        for timestamp in range(self.truth[1][0] // HOUR * HOUR + HOUR + 17 * SECOND, self.ended or self.now, HOUR):
            if timestamp - self.lag >= self.truth[1][0]:
                self.audit(timestamp)

    def end(self, gap: int) -> None:
        """Delete it, which is told twice, and which an audit tells once more."""
        self.ended = self.now = _exact(self.now + gap)
        for later in (0, 2 * SECOND):
            self.tell('transition', 'delete.end', self.ended + later + SECOND // 10, state=DELETED,
                      time=self.ended + later, ended=self.ended + later)
        self.tell('observation', 'exists', self.ended + HOUR, state=DELETED, every=3900, ended=self.ended)

    def versioned(self) -> Told:
        """Tell the same as Nova's versioned notifications do: a little later, times in the payload in whole seconds."""
        return [(f'versioned-{message_id}', fact._replace(
            event_type=f'versioned.{fact.event_type}', timestamp=fact.timestamp + 3000,
            time=fact.time + 3000 if fact.time == fact.timestamp else fact.time // SECOND * SECOND,
            launched=None if fact.launched is None else fact.launched // SECOND * SECOND,
            ended=None if fact.ended is None else fact.ended // SECOND * SECOND)) for message_id, fact in self.told]


class Service(_Resource):
    """An instance of another service: it is audited each minute, no launch is told, and its owner may change."""

    lag = 20 * SECOND

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.become(at, 'pending', PROJECTS[0], 0)
        self.tell('transition', 'create', at, created=at, created_state='pending')

    def tell(self, kind: str, event_type: str, timestamp: int, *, lag: int = 0, **told: Any) -> None:
        _, state, project, size = self.seen(timestamp - lag)
        self.say(kind, event_type, timestamp, **{'state': state, 'project_id': project, 'size': SIZES[size], **told})

    def act(self, choice: int, gap: int) -> None:
        """Change its state, its size or its owner."""
        _, state, project, size = self.truth[-1]
        at, what = self.now + gap, choice % 4
        if what == 0:
            self.become(at, state, PROJECTS[project == PROJECTS[0]], size)
            self.tell('change', 'transfer', at, state=None, size={})
        elif what == 1:
            self.become(at, state, project, 1 - size)
            self.tell('change', 'resize', at, state=None, project_id=None)
        else:
            self.become(at, ('active', 'failed')[what - 2], project, size)
            self.tell('transition', 'update', at)

    def audit(self, timestamp: int) -> None:
        self.tell('observation', 'exists', timestamp, lag=self.lag, every=90)

    def audits(self) -> None:
        """Audit it each minute of its life."""
        for timestamp in range(self.truth[0][0] // MINUTE * MINUTE + MINUTE, self.ended or self.now, MINUTE):
            if timestamp - self.lag >= self.truth[0][0]:
                self.audit(timestamp)

    def end(self, gap: int) -> None:
        self.ended = self.now = self.now + gap
        self.tell('transition', 'delete', self.ended, state=DELETED)


def _exact(time: int) -> int:
    """Give a time that cannot be taken for one of which the fraction was cut off."""
    return time if time % SECOND else time + 1


def _gaps(least: int, most: int) -> st.SearchStrategy[int]:
    return st.integers(least, most)


@st.composite
def servers(draw: st.DrawFn) -> Server:
    """Draw a machine's life."""
    server = Server(NOON + draw(_gaps(0, HOUR)), draw(_gaps(3 * SECOND, MINUTE)), draw(_gaps(0, 50 * SECOND)))
    return _lived(draw, server, 30 * HOUR)


@st.composite
def services(draw: st.DrawFn) -> Service:
    """Draw the life of another service's instance."""
    return _lived(draw, Service(NOON + draw(_gaps(0, HOUR))), 20 * MINUTE)


def _lived(draw: st.DrawFn, one: Any, longest: int) -> Any:
    for choice, gap in draw(st.lists(st.tuples(st.integers(0, 11), _gaps(3 * SECOND, longest)), max_size=6)):
        one.act(choice, gap)
    if draw(st.booleans()):
        one.end(draw(_gaps(3 * SECOND, longest)))
    one.audits()
    return one


def parts(told: Told, cuts: Iterable[int]) -> Iterator[Told]:
    """Cut what was told into parts."""
    bounds = [0, *sorted(cut % (len(told) + 1) for cut in cuts), len(told)]
    for begin, end in zip(bounds, bounds[1:], strict=False):
        yield told[begin:end]


_TIMES = st.one_of(
    st.sampled_from([0, SECOND // 2, SECOND, 3 * SECOND // 2, 2 * SECOND, 2 * SECOND + 7, -SECOND, -SECOND - 7, MINUTE,
                     MINUTE + SECOND, 90 * SECOND, 150 * SECOND, HOUR]),
    st.integers(-3 * SECOND, 200 * SECOND),
    st.integers(-62_135_596_800 * SECOND, 253_402_300_799 * SECOND))


@st.composite
def anything(draw: st.DrawFn) -> tuple[str, Fact]:
    """Draw a fact of which nothing can be expected but that it is one."""
    kind = draw(st.sampled_from(['transition', 'observation', 'change', 'witness']))
    every = draw(st.sampled_from([0, 60, 90])) if kind != 'witness' else 0
    timestamp, launches = draw(_TIMES), draw(st.booleans())
    return draw(st.sampled_from(['a', 'b', 'c'])), Fact(
        'a-type', 'an-id', kind, 'an-event', timestamp=timestamp, every=every,
        time=timestamp if every or kind == 'witness' else draw(st.just(timestamp) | _TIMES),
        state=draw(st.sampled_from(['active', 'stopped', DELETED])) if kind in ('transition', 'observation') else None,
        project_id=draw(st.none() | st.sampled_from(PROJECTS)), user_id=draw(st.none() | st.just('a-user')),
        size=draw(st.dictionaries(st.sampled_from(['flavor', 'vcpus']), st.sampled_from([1, 2, 2.0, 'x']))),
        place=draw(st.dictionaries(st.just('host'), st.none() | st.sampled_from(['a', 'b']))),
        attributes=draw(st.dictionaries(st.just('name'), st.sampled_from(['', [1], {'a': 1}]))),
        created=draw(st.none() | _TIMES), created_state='building', ended=draw(st.none() | _TIMES),
        launched=draw(st.none() | _TIMES) if launches else None,
        launched_state=draw(st.sampled_from(['active', 'rescued'])) if launches else '')
