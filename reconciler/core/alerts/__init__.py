"""Alerts, pure: an alert and its identity, their construction, and the backlog of each target.

alert               the fields of an alert
builder             alerts of the agent: drift, refused commits, failed applies
pair_alerts         alerts about the pair: reasons of the watchdog, changes of role
conditions          which conditions are new and which have ended
backlog             which alerts each target has not received yet
"""
