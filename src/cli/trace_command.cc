#include "cli/trace_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "cli/console.h"
#include "cli/parsed_option.h"
#include "cli/url_fetch.h"
#include "cli/waterfall.h"
#include "json/json.h"
#include "telemetry/trace_context.h"

namespace autoglm {
namespace {

struct TraceArguments {
  std::string id;
  std::vector<std::string> urls = {"http://127.0.0.1:8080"};
  std::string key;
  bool as_json = false;
};

// The records that a server has of a trace, or of one request.
Result<std::vector<Json>> Fetch(const std::string& url, const std::string& id, const std::string& key) {
  const bool is_trace = TraceId::Parse(id).has_value();
  const std::string path = is_trace ? "/v1/traces/" + id : "/v1/requests/" + PercentEncoded(id) + "/timing";
  AUTOGLM_TRY(const std::string text, FetchUrl({.url = UrlOf(url, path), .bearer_token = key}));
  AUTOGLM_TRY(Json json, ParseJson(text));
  std::vector<Json> records;
  if (!is_trace) {
    records.push_back(std::move(json));
    return records;
  }
  for (Json& record : json["data"]) records.push_back(std::move(record));
  return records;
}

// A request's id leads to its trace, and that to what other servers know of it.
Result<std::vector<Json>> FetchAll(const TraceArguments& arguments) {
  std::vector<Json> records;
  std::string id = arguments.id;
  Error last{.code = ErrorCode::kNotFound, .message = "no server knows it", .param = {}};
  for (int round = 0; round < 2; ++round) {
    for (const std::string& url : arguments.urls) {
      Result<std::vector<Json>> found = Fetch(url, id, arguments.key);
      if (!found) last = found.error();
      for (Json& record : found.value_or(std::vector<Json>())) {
        const auto is_same = [&](const Json& known) { return known.value("span_id", "") == record.value("span_id", ""); };
        if (std::ranges::none_of(records, is_same)) records.push_back(std::move(record));
      }
    }
    if (records.empty()) return tl::unexpected<Error>(last);
    id = records.front().value("trace_id", id);
  }
  return records;
}

Result<int> RunTrace(const TraceArguments& arguments, Console& console) {
  AUTOGLM_TRY(const std::vector<Json> records, FetchAll(arguments));
  if (arguments.as_json) {
    Json list = Json::array();
    for (const Json& record : records) list.push_back(record);
    console.out << DumpJson(list) << "\n";
    return 0;
  }
  console.out << FormatWaterfall(records, console.out_is_terminal ? TerminalColumns() : 100, console);
  return 0;
}

}  // namespace

void AddTraceCommand(CLI::App& app, CommandAction& action) {
  CLI::App* command = app.add_subcommand("trace", "Show where the time of a request went, as a waterfall.");
  const auto arguments = std::make_shared<TraceArguments>();
  command->add_option("ID", arguments->id, "x-request-id or x-trace-id of an answer")->required()->type_name("");
  command
      ->add_option("--url", arguments->urls,
                   "of a server, or a gateway's admin port; may be repeated (default: http://127.0.0.1:8080)")
      ->type_name("URL")
      ->allow_extra_args(false);
  AddTextOption(*command, {"--key", "KEY", "API key (default: $AUTOGLM_API_KEY)"}, arguments->key)->envname("AUTOGLM_API_KEY");
  AddFlag(*command, {"--json", "", "the records as JSON"}, arguments->as_json);
  command->footer(
      "Examples:\n"
      "  autoglm trace 36aa8a0a-bcf0-62f4-9c4b-8377a8cb772c\n"
      "  autoglm trace 3ad7666bccac62f2cf291590955e04ab --url http://gateway:9901 --url http://replica:8081");
  command->callback([arguments, &action] { action = [arguments](Console& console) { return RunTrace(*arguments, console); }; });
}

}  // namespace autoglm
