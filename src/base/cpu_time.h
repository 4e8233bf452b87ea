#pragma once

#include "base/clock.h"

namespace autoglm {

// That this thread, and all threads of the process, have computed since they began.
Duration ThreadCpuTime();
Duration ProcessCpuTime();

}  // namespace autoglm
