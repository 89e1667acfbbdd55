# SPDX-License-Identifier: Apache-2.0
"""What was published of virtual machines, folded; and what is to be, worked out from intervals as simply as can be."""

from collections import Counter
from datetime import datetime, timedelta
from itertools import groupby, pairwise

UPTIME, STATUS, NUMBER = METERS = 'compute.instance.uptime', 'compute.instance.status', 'compute.instances'
SECOND = timedelta(seconds=1)
COUNTED = 'active', 'paused', 'rescued', 'resized'
CODES = {'active': 1, 'building': 2, 'stopped': 3, 'error': 7, 'suspended': 11, 'resized': 13, 'shelved': 14,
         'shelved_offloaded': 15, 'deleted': 99}


def content(sample):
    """What is the same wherever, and whenever, one revision of a statement is published."""
    metadata = sample['resource_metadata']
    return (sample['name'], sample['resource_id'], sample['timestamp'], sample['volume'], sample['project_id'],
            *map(metadata.get, ('state', 'size', 'states', 'flavors', 'highest', 'lowest', 'period', 'revision')))


def revision(sample):
    return sample['resource_metadata']['revision']


def when(sample):
    return datetime.fromisoformat(sample['timestamp'])


def folded(arrived, until):
    """Keep the newest revision of each statement of the time until then."""
    newest = {}
    for sample in arrived:
        known = newest.setdefault(sample['id'], sample)
        if revision(sample) >= revision(known):
            newest[sample['id']] = sample
    return {key: one for key, one in newest.items()
            if when(one) < until or (one['name'] == NUMBER and when(one) == until)}


def superseded(arrived):
    """Give what was followed by a newer revision."""
    last = {one['id']: revision(one) for one in arrived}
    return [one for one in arrived if revision(one) < last[one['id']]]


def every(seconds, begin, end):
    """List the limits of periods."""
    return [begin + number * seconds * SECOND for number in range((end - begin) // (seconds * SECOND) + 1)]


def stated(intervals, edges):
    """Work out uptime and status: meter, resource and time -> seconds or code, project, state and size."""
    told = {}
    for resource_id, lives in groupby(intervals, lambda one: one.resource_id):
        before = counts_as = None
        for one in lives:
            counts_as = counts_as if one.state == 'resized' and counts_as else one.state
            begin, end = max(one.begin, edges[0]), min(one.end or edges[-1], edges[-1])
            if begin < end and (one.state != before or one.begin < edges[0]):
                told[STATUS, resource_id, begin] = CODES[one.state], one.project_id, one.state, one.size
            for first, last in pairwise(edges):
                if max(begin, first) < min(end, last):
                    lasted = (min(end, last) - max(begin, first)) / SECOND if counts_as in COUNTED else 0
                    told[UPTIME, resource_id, max(begin, first)] = lasted, one.project_id, one.state, one.size
            before = one.state
        if one.end is not None and edges[0] < one.end < edges[-1]:
            told[STATUS, resource_id, one.end] = CODES['deleted'], one.project_id, 'deleted', one.size
    return told


def counted(intervals, edges):
    """Work out quantities: id and period's end -> number at its end, by state, by flavor, the highest, the lowest."""
    told = {}
    for project in {one.project_id for one in intervals}:
        had = [one for one in intervals if one.project_id == project]
        for first, last in pairwise(edges):
            some = [one for one in had if one.begin < last and (one.end is None or one.end > first)]
            left = [one for one in some if one.end is None or one.end >= last]
            moments = {first, *(at for one in some for at in (one.begin, one.end) if at and first < at < last)}
            levels = [sum(one.begin <= at and (one.end is None or at < one.end) for one in some) for at in moments]
            if some:
                told[f'paas-{project}', last] = (len(left), Counter(one.state for one in left),
                                                 Counter(one.flavor for one in left), max(levels), min(levels))
    return told
