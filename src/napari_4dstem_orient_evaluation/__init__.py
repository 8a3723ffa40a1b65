"""How good and how fast the program is: evaluation reports, benchmarks, and the training of verifiers.

Beside the program, which maps without it; the commands ``evaluate`` and ``benchmark`` are its doors.
"""
