"""The channel between the two controllers: who the peer is, and authenticated requests to its agent.

`identity` holds the keys and pins that an enrolment left here, `message` the form of requests and replies, `channel`
the client and the server. Decides nothing about the pair.
"""
