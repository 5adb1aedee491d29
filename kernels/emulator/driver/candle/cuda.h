// In the place of the driver's header, of which kernels use nothing.
#pragma once

#include "language.h"
