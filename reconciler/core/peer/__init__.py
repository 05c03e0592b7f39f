"""How two controllers become a pair: what each offers, what both compare, and when the result is kept.

`offer` says what a controller claims and which claims do not go together, `check_words` what people compare,
`enrolment` which message follows which, and when each side stores and commits. Knows no socket, no file and no clock.
"""
