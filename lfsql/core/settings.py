"""The times and limits of consensus.  Times are seconds, sizes are bytes of record bodies."""

from __future__ import annotations

import msgspec

from lfsql.errors import ConfigError


class ConsensusSettings(msgspec.Struct, frozen=True):
    """Raises ConfigError when the times cannot work together.

    `lease`: how long after hearing from a primary a node refuses its vote to others, even when its link to
    the primary has closed.  The primary answers linearizable reads without asking around for `lease` less
    `drift` (a fraction: how far two clocks may run apart) after the sending of a heartbeat that a quorum
    answered.  0, the default, means no lease: each read costs a round of heartbeats, shared by all that wait,
    and a closed link lets the others elect at once.  All nodes must agree on it.

    `takeover_spread`: when the primary's link closes, the voters of equal rank stand for election within this
    time, so that they rarely split the vote.  `rank_step`: how much later each lower rank stands.

    `transfer_pause`: how long proposals are refused while leadership is handed over; when nobody has taken it by then
    the primary serves on.  `transfer_patience`: how long the other may take to catch up before that.
    `preference_patience`: how long a better node must have been ready to lead before the primary hands over to it by
    itself, and how long a primary leads at least before it does.
    """

    heartbeat: float = 0.1
    election_timeout_min: float = 0.4
    election_timeout_max: float = 0.8
    takeover_spread: float = 0.03
    rank_step: float = 0.05
    lease: float = 0.0
    drift: float = 0.1
    transfer_pause: float = 0.15
    transfer_patience: float = 10.0
    preference_patience: float = 5.0

    message_bytes_max: int = 512 * 1024
    in_flight_bytes_max: int = 4 * 1024 * 1024
    in_flight_messages_max: int = 256
    tail_bytes_max: int = 16 * 1024 * 1024
    uncommitted_bytes_max: int = 16 * 1024 * 1024
    record_bytes_max: int = 8 * 1024 * 1024
    reads_waiting_max: int = 10_000

    def __post_init__(self) -> None:
        if not 0 < 2 * self.heartbeat <= self.election_timeout_min < self.election_timeout_max:
            raise ConfigError("an election timeout must be a range, and at least two heartbeats long")
        if not 0 <= self.lease <= self.election_timeout_min:
            raise ConfigError("a lease must not outlast the shortest election timeout")
        if not 0 <= self.drift < 1:
            raise ConfigError("clock drift is a fraction")
        if min(self.takeover_spread, self.rank_step) < 0:
            raise ConfigError("takeover_spread and rank_step must not be negative")
        if min(self.transfer_pause, self.transfer_patience, self.preference_patience) <= 0:
            raise ConfigError("the times of a transfer must be positive")
        sizes = (self.message_bytes_max, self.in_flight_messages_max, self.reads_waiting_max, self.record_bytes_max)
        if min(sizes) < 1:
            raise ConfigError("a limit must be at least 1")
        if self.in_flight_bytes_max < self.message_bytes_max:
            raise ConfigError("in_flight_bytes_max must hold a message of message_bytes_max")
        if min(self.uncommitted_bytes_max, self.tail_bytes_max) < self.record_bytes_max:
            raise ConfigError("uncommitted_bytes_max and tail_bytes_max must hold a record of record_bytes_max")
