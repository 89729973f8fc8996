"""The campaign: trials of a lake against kills, a bad disk, a wrong clock and a lying vendor.

    python -m campaign --minutes 60 --seed 1

A trial is a step (a load, a switch, a build of silver, ...) that meets at least one trouble. Steps
run in forked processes through the product's own functions, some through its real commands, against
a sandbox of its own. After every step a small model of what the vendor ever showed is compared with
what lies in the lake. docs/reliability.md says what is promised and what was found.
"""
