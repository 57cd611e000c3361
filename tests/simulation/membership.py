"""The consumer group: who has which partition, and what each member has not heard of yet.

As a group with the cooperative protocol does: a partition goes to another member only when its
holder has given it up, or when the holder was expelled; the latter hears of it when it polls next.
"""

from __future__ import annotations

from random import Random
from typing import Literal

Told = tuple[Literal["given", "taken"], int]


class Member:
    """One membership. ``news`` is what the next poll tells, in order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.news: list[Told] = []
        self.is_expelled = False


class Group:
    """A group over some partitions."""

    def __init__(self, partitions: int, random: Random) -> None:
        self._random = random
        self._partitions = range(partitions)
        self.members: list[Member] = []
        self.holders: dict[int, Member | None] = dict.fromkeys(self._partitions)
        self._wanted: dict[int, Member | None] = dict.fromkeys(self._partitions)

    def join(self, name: str) -> Member:
        """Take a new member in."""
        member = Member(name)
        self.members.append(member)
        self.rebalance()
        return member

    def leave(self, member: Member) -> None:
        """Let a member go; what it held goes to others."""
        if member in self.members:
            self._remove(member)
            self.rebalance()

    def expel(self, member: Member) -> None:
        """Take everything from a member that was not heard of; it learns so when it polls."""
        held = [p for p in self._partitions if self.holders[p] is member]
        member.is_expelled = True
        member.news = [("taken", partition) for partition in held]
        self._remove(member)
        self.rebalance()

    def rebalance(self) -> None:
        """Decide anew who shall have which partition; most stay where they are."""
        for partition in self._partitions:
            holder = self.holders[partition]
            if holder is None or holder not in self.members or self._random.random() < 0.5:
                self._wanted[partition] = (
                    self._random.choice(self.members) if self.members else None
                )
            else:
                self._wanted[partition] = holder
            self._move(partition)

    def released(self, member: Member, partition: int) -> None:
        """Take note that a member has given a partition up."""
        if self.holders[partition] is member:
            self.holders[partition] = None
            self._move(partition)

    def _remove(self, member: Member) -> None:
        self.members.remove(member)
        for partition in self._partitions:
            if self.holders[partition] is member:
                self.holders[partition] = None

    def _move(self, partition: int) -> None:
        holder, wanted = self.holders[partition], self._wanted[partition]
        if holder is wanted:
            return
        if holder is not None:
            if ("taken", partition) not in holder.news:
                holder.news.append(("taken", partition))
        elif wanted is not None and wanted in self.members:
            self.holders[partition] = wanted
            wanted.news.append(("given", partition))
