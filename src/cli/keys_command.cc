#include "cli/keys_command.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "auth/key_store.h"
#include "base/priority.h"
#include "cli/parsed_option.h"
#include "cli/text_format.h"
#include "config/key_database.h"
#include "config/values.h"
#include "json/json.h"

namespace autoglm {
namespace {

constexpr int64_t kMaxExpiryS = int64_t{100} * 366 * 86400;

struct CreateOptions {
  NewKey key;
  int64_t expires_s = 0;  // from now; 0: never
  std::string database = "auto";
};

// As given, or the default where nothing is given; a command cannot do without.
Result<std::filesystem::path> DatabasePath(const std::string& given) {
  AUTOGLM_TRY(const std::optional<std::filesystem::path> path, ParseKeyDatabase(given));
  if (!path) return Fail(ErrorCode::kInvalidArgument, "--database: must be auto or a file");
  return *path;
}

WallTime Now() { return std::chrono::system_clock::now(); }

std::string FormatTime(WallTime time) {
  return fmt::format("{:%Y-%m-%d %H:%M}", fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

int64_t UnixSeconds(WallTime time) { return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count(); }

std::string_view StateName(const KeyRecord& record) {
  if (record.revoked_at) return "revoked";
  return record.expires_at && *record.expires_at <= Now() ? "expired" : "active";
}

std::string FormatState(const KeyRecord& record) {
  if (record.revoked_at) return fmt::format("revoked {}", FormatTime(*record.revoked_at));
  if (!record.expires_at) return "active";
  return fmt::format("{} {}", *record.expires_at <= Now() ? "expired" : "until", FormatTime(*record.expires_at));
}

std::string FormatLimits(const Policy& policy) {
  std::string text;
  const auto add = [&text](std::string_view name, std::string_view value) {
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, value);
  };
  if (!policy.models.empty()) add("models", fmt::format("{}", fmt::join(policy.models, ",")));
  if (policy.highest_priority) add("highest_priority", fmt::format("{}", *policy.highest_priority));
  for (const PolicyLimit& limit : PolicyLimits()) {
    if (policy.*limit.count > 0) add(limit.name, fmt::format("{}", policy.*limit.count));
  }
  if (policy.budget > 0) {
    add("budget",
        fmt::format("{}/{}/{}", policy.budget, BudgetPeriodName(policy.budget_period), BudgetOwnerName(policy.budget_of)));
  }
  if (policy.acts_for_tenants) add("acts_for_tenants", "yes");
  return text.empty() ? "none" : text;
}

std::string FormatKeys(const std::vector<KeyRecord>& records) {
  std::vector<std::vector<std::string>> rows = {{"ID", "NAME", "TENANT", "KEY", "CREATED (UTC)", "STATE", "LIMITS"}};
  for (const KeyRecord& record : records) {
    rows.push_back({record.id, record.name, record.policy.tenant, "..." + record.last_four, FormatTime(record.created_at),
                    FormatState(record), FormatLimits(record.policy)});
  }
  return StripControlCharacters(FormatColumns(rows));
}

Json ToJson(const KeyRecord& record) {
  Json json{{"id", record.id},
            {"name", record.name},
            {"last_four", record.last_four},
            {"state", StateName(record)},
            {"created_at", UnixSeconds(record.created_at)}};
  if (record.expires_at) json["expires_at"] = UnixSeconds(*record.expires_at);
  if (record.revoked_at) json["revoked_at"] = UnixSeconds(*record.revoked_at);
  json["policy"] = PolicyToJson(record.policy);
  return json;
}

Result<int> RunCreate(const CreateOptions& options, Console& console) {
  const WallTime now = Now();
  NewKey key = options.key;
  if (options.expires_s > 0) key.expires_at = now + std::chrono::seconds(options.expires_s);
  AUTOGLM_TRY(const std::filesystem::path path, DatabasePath(options.database));
  AUTOGLM_TRY(KeyStore store, KeyStore::OpenOrCreate(path));
  AUTOGLM_TRY(const CreatedKey created, store.Create(key, now));
  console.out << created.text << "\n";
  console.err << fmt::format("This is the key '{}' ({}), shown this one time: {} keeps only its hash.\n", key.name, created.id,
                             path.string());
  return 0;
}

Result<int> RunList(const std::string& database, bool as_json, Console& console) {
  AUTOGLM_TRY(const std::filesystem::path path, DatabasePath(database));
  std::vector<KeyRecord> records;
  Result<KeyStore> store = KeyStore::Open(path);
  if (store) {
    AUTOGLM_TRY(records, store->List());
  } else if (store.error().code != ErrorCode::kNotFound) {
    return tl::unexpected<Error>(store.error());
  }
  if (as_json) {
    Json list = Json::array();
    for (const KeyRecord& record : records) list.push_back(ToJson(record));
    console.out << DumpJson(list) << "\n";
  } else if (records.empty()) {
    console.err << "no keys were created yet; 'autoglm keys create' creates one\n";
  } else {
    console.out << FormatKeys(records);
  }
  return 0;
}

Result<int> RunRevoke(const std::string& id_or_name, const std::string& database, Console& console) {
  AUTOGLM_TRY(const std::filesystem::path path, DatabasePath(database));
  AUTOGLM_TRY(KeyStore store, KeyStore::Open(path));
  AUTOGLM_TRY(const KeyRecord record, store.Revoke(id_or_name, Now()));
  console.err << fmt::format("{} '{}' (...{}) is revoked since {} UTC; running servers notice within a second\n", record.id,
                             record.name, record.last_four, FormatTime(*record.revoked_at));
  return 0;
}

void AddDatabaseOption(CLI::App& command, std::string& database) {
  AddTextOption(command, {"--database", "FILE", "where keys are kept (default: $XDG_STATE_HOME/autoglm/keys.db)"}, database);
}

void AddLimitOption(CLI::App& command, OptionText text, int64_t& limit) {
  AddParsedOption<int64_t>(command, std::move(text), limit,
                           [](const std::string& given) { return ParseInteger(given, 0, kMaxPolicyLimit); });
}

void AddBudgetOptions(CLI::App& command, Policy& policy) {
  AddParsedOption<double>(
      command, {"--budget", "AMOUNT", "money, or tokens where a gateway has no prices; gateways count it (default: 0, no limit)"},
      policy.budget, [](const std::string& given) { return ParseReal(given, 0, static_cast<double>(kMaxPolicyLimit)); });
  AddParsedOption<BudgetPeriod>(command, {"--budget-period", "NAME", "day, month or total, in UTC (default: month)"},
                                policy.budget_period, [](const std::string& given) { return ParseBudgetPeriod(given); });
  AddParsedOption<BudgetOwner>(command, {"--budget-of", "NAME", "key, or tenant: all keys of the tenant use it (default: key)"},
                               policy.budget_of, [](const std::string& given) { return ParseBudgetOwner(given); });
}

void AddPolicyOptions(CLI::App& command, Policy& policy) {
  AddTextOption(command, {"--tenant", "NAME", "whose cached prefixes it shares and whose share it counts to (default: default)"},
                policy.tenant);
  command.add_option("--model", policy.models, "a model it may use, '*' for any characters; may be repeated (default: all)")
      ->type_name("NAME")
      ->allow_extra_args(false);
  AddParsedOption<std::optional<int64_t>>(
      command, {"--highest-priority", "N", "the lowest number, that is the most urgent, its requests may ask for (default: any)"},
      policy.highest_priority, [](const std::string& given) -> Result<std::optional<int64_t>> {
        AUTOGLM_TRY(const int64_t priority, ParseInteger(given, -kMaxPriority, kMaxPriority));
        return priority;
      });
  AddLimitOption(command, {"--max-context", "N", "tokens of a prompt and its answer together (default: 0, no limit)"},
                 policy.max_context_tokens);
  AddLimitOption(command, {"--max-output", "N", "tokens of an answer (default: 0, no limit)"}, policy.max_output_tokens);
  AddLimitOption(command, {"--requests-per-minute", "N", "(default: 0, no limit)"}, policy.requests_per_minute);
  AddLimitOption(command, {"--tokens-per-minute", "N", "of prompts and answers (default: 0, no limit)"},
                 policy.tokens_per_minute);
  AddLimitOption(command, {"--max-concurrent", "N", "requests at the same time (default: 0, no limit)"}, policy.max_concurrent);
  AddBudgetOptions(command, policy);
  AddFlag(command, {"--acts-for-tenants", "", "for a gateway: it may say for which of its tenants it asks"},
          policy.acts_for_tenants);
}

void AddCreateCommand(CLI::App& keys, CommandAction& action) {
  CLI::App* command = keys.add_subcommand("create", "Create a key and print it.");
  const auto options = std::make_shared<CreateOptions>();
  AddTextOption(*command, {"--name", "NAME", "what to call it, in lists and logs"}, options->key.name)->required();
  AddPolicyOptions(*command, options->key.policy);
  AddParsedOption<int64_t>(*command, {"--expires", "TIME", "when it ends, from now: 30d, 12h, 90m (default: never)"},
                           options->expires_s, [](const std::string& given) { return ParseSeconds(given, 1, kMaxExpiryS); });
  AddDatabaseOption(*command, options->database);
  command->footer(
      "The key is the only line on standard output, and is shown this one time.\n\n"
      "Examples:\n"
      "  autoglm keys create --name ci --expires 30d\n"
      "  autoglm keys create --name web --tenant acme --model 'chat-*' --requests-per-minute 60");
  command->callback([options, &action] { action = [options](Console& console) { return RunCreate(*options, console); }; });
}

void AddListCommand(CLI::App& keys, CommandAction& action) {
  CLI::App* command = keys.add_subcommand("list", "List all keys, those that are revoked as well.");
  const auto database = std::make_shared<std::string>("auto");
  const auto as_json = std::make_shared<bool>(false);
  AddFlag(*command, {"--json", "", "as one JSON list"}, *as_json);
  AddDatabaseOption(*command, *database);
  command->footer("Examples:\n  autoglm keys list\n  autoglm keys list --json | jq '.[] | select(.state == \"active\") | .name'");
  command->callback(
      [database, as_json, &action] { action = [=](Console& console) { return RunList(*database, *as_json, console); }; });
}

void AddRevokeCommand(CLI::App& keys, CommandAction& action) {
  CLI::App* command = keys.add_subcommand("revoke", "End a key for good. Servers that run notice within a second.");
  const auto id_or_name = std::make_shared<std::string>();
  const auto database = std::make_shared<std::string>("auto");
  AddTextOption(*command, {"KEY", "", "its id or its name, as 'autoglm keys list' shows them"}, *id_or_name)->required();
  AddDatabaseOption(*command, *database);
  command->footer("Examples:\n  autoglm keys revoke ci\n  autoglm keys revoke key-3kTz0aQmVb7x");
  command->callback(
      [id_or_name, database, &action] { action = [=](Console& console) { return RunRevoke(*id_or_name, *database, console); }; });
}

}  // namespace

void AddKeysCommands(CLI::App& app, CommandAction& action) {
  CLI::App* keys = app.add_subcommand("keys", "API keys and what their holders may do: create, list, revoke.");
  keys->require_subcommand(1);
  AddCreateCommand(*keys, action);
  AddListCommand(*keys, action);
  AddRevokeCommand(*keys, action);
  keys->footer(
      "With the first key a server answers nobody without one.\n\n"
      "Examples:\n"
      "  autoglm keys create --name ci --expires 30d\n"
      "  autoglm keys list\n"
      "  autoglm keys revoke ci");
}

}  // namespace autoglm
