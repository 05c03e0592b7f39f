"""The simulated world: fakes that behave as the real parts do, for tests, exploration and rehearsal."""
