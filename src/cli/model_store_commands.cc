#include "cli/model_store_commands.h"

#include <fmt/format.h>

#include <memory>
#include <ostream>
#include <string>

#include "base/result.h"
#include "cli/local_model.h"
#include "cli/parsed_option.h"
#include "cli/text_format.h"
#include "hub/model_store.h"

namespace autoglm {
namespace {

Result<int> RunPull(const std::string& text, Console& console) {
  AUTOGLM_TRY(const ModelReference reference, ModelReference::Parse(text));
  AUTOGLM_TRY(const std::filesystem::path path, PullModel(reference, console));
  console.out << path.string() << "\n";
  return 0;
}

Result<int> RunList(Console& console) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const StoredModel& model : FetchedModels().List()) rows.emplace_back(model.reference, FormatBytes(model.num_bytes));
  if (rows.empty()) {
    console.err << "no models were fetched yet; 'autoglm model pull' fetches one\n";
    return 0;
  }
  console.out << FormatTable(rows);
  return 0;
}

Result<int> RunRemove(const std::string& text, Console& console) {
  AUTOGLM_TRY(const ModelReference reference, ModelReference::Parse(text));
  AUTOGLM_TRY_VOID(FetchedModels().Remove(reference));
  console.err << "removed " << reference.ToString() << "\n";
  return 0;
}

}  // namespace

void AddStoreCommands(CLI::App& app, CommandAction& action) {
  CLI::App* pull = app.add_subcommand("pull", "Fetch a model from Hugging Face (hf:) or ModelScope (ms:).");
  const auto pulled = std::make_shared<std::string>();
  AddTextOption(*pull, {"REFERENCE", "", "hf:ORG/REPO, hf:ORG/REPO:FILE, hf:ORG/REPO@REVISION:FILE, or ms: in place of hf:"},
                *pulled)
      ->required();
  pull->footer(
      "Without FILE: the safetensors of the repository with what belongs to them, or its only GGUF file.\n"
      "Prints the path. What was begun goes on where it stopped; checksums are compared with the hub's.\n"
      "Every command that takes a MODEL takes a reference, too, and fetches it where it is missing.\n\n"
      "Environment: HF_ENDPOINT, HF_TOKEN, MODELSCOPE_ENDPOINT, MODELSCOPE_API_TOKEN; https_proxy and its\n"
      "like. Models are kept in $XDG_CACHE_HOME/autoglm/models.\n\n"
      "Examples:\n"
      "  autoglm model pull hf:zai-org/glm-4-9b-chat-hf\n"
      "  autoglm model pull hf:ORG/REPO:model-q4_k_m.gguf\n"
      "  HF_ENDPOINT=https://hub.example.com autoglm serve hf:ORG/REPO:model-q4_k_m.gguf");
  pull->callback([pulled, &action] { action = [pulled](Console& console) { return RunPull(*pulled, console); }; });

  CLI::App* list = app.add_subcommand("list", "List the models that were fetched.");
  list->footer("Examples:\n  autoglm model list");
  list->callback([&action] { action = [](Console& console) { return RunList(console); }; });

  CLI::App* remove = app.add_subcommand("remove", "Remove a model that was fetched.");
  const auto removed = std::make_shared<std::string>();
  AddTextOption(*remove, {"REFERENCE", "", "as 'autoglm model list' shows it"}, *removed)->required();
  remove->footer("Examples:\n  autoglm model remove hf:ORG/REPO:model-q4_k_m.gguf");
  remove->callback([removed, &action] { action = [removed](Console& console) { return RunRemove(*removed, console); }; });
}

}  // namespace autoglm
