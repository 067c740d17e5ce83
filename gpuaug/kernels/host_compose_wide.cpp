// The second half of the loops of host_compose.h.
#include "host_compose.h"

COMPOSE(compose_u8_bfloat, u8, BFloat)
COMPOSE(compose_u8_float, u8, float)
COMPOSE(compose_bfloat, BFloat, BFloat)
COMPOSE(compose_float, float, float)
