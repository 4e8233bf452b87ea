#pragma once

#include "json/json.h"
#include "telemetry/interned_names.h"
#include "telemetry/request_record.h"

namespace autoglm {

// A record as pages and programs read it: docs/timing.md. Nanoseconds are integers; what is unknown is left out.
Json RecordJson(const RequestRecord& record, const InternedNames& names);
// In a line of a list: without the pieces of its time.
Json RecordSummaryJson(const RequestRecord& record, const InternedNames& names);

}  // namespace autoglm
