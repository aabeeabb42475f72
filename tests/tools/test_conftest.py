"""What tests measure reaches the report, also from a worker of pytest-xdist."""

import numpy as np
from execnet.gateway_base import dumps_internal


def test_what_is_recorded_can_be_sent(record_property, request):
    record_property("shares", [np.float64(0.5), np.int64(3)])
    [(name, value)] = request.node.user_properties
    assert dumps_internal({name: value})
    assert isinstance(value, str)
