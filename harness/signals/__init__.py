"""Pure arithmetic on the edges of a line: what bytes they are, how fast, how even. It knows no instrument and no board.

Times are whole nanoseconds of the clock that the instrument stamped them by; levels are 0 and 1, as the instrument's threshold decides.
"""
