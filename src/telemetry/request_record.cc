#include "telemetry/request_record.h"

#include <numeric>

namespace autoglm {

int64_t RequestRecord::SumOfStages() const { return std::accumulate(stages.begin(), stages.end(), int64_t{0}); }

}  // namespace autoglm
