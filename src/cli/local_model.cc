#include "cli/local_model.h"

#include <fmt/format.h>

#include <csignal>
#include <memory>
#include <optional>
#include <ostream>

#include "base/clock.h"
#include "cli/cache_folder.h"
#include "cli/progress_bar.h"
#include "cli/signal_watcher.h"
#include "cli/version.h"

namespace autoglm {
namespace {

constexpr int64_t kMegabyte = 1'000'000;

// Shows how far a pull has come: a bar on a terminal, a line for every tenth elsewhere.
class PullDisplay {
 public:
  explicit PullDisplay(Console& console) : console_(console) {}

  void Notice(const std::string& text) {
    bar_.reset();
    console_.err << text << "\n" << std::flush;
  }
  void Progress(int64_t done, int64_t total) {
    if (total <= 0) return;
    if (console_.err_is_terminal) {
      if (!bar_) {
        bar_.emplace(console_, Clock::Real(),
                     ProgressBar::Options{.title = "Fetching",
                                          .unit = "MB",
                                          .total = std::max<int64_t>(total / kMegabyte, 1),
                                          .columns = TerminalColumns()});
      }
      bar_->Update(done / kMegabyte);
    } else if (const int64_t tenth = 10 * done / total; tenth > last_tenth_) {
      last_tenth_ = tenth;
      console_.err << fmt::format("{} % of {} MB\n", tenth * 10, (total + kMegabyte / 2) / kMegabyte) << std::flush;
    }
  }

 private:
  Console& console_;
  std::optional<ProgressBar> bar_;
  int64_t last_tenth_ = 0;
};

}  // namespace

ModelStore FetchedModels() { return ModelStore(CacheFolder() / "models"); }

Result<std::filesystem::path> PullModel(const ModelReference& reference, Console& console) {
  AUTOGLM_TRY(HubOptions options, HubOptions::FromEnvironment(fmt::format("autoglm/{}", Version())));
  HubClient hub(std::move(options));
  AUTOGLM_TRY(const std::unique_ptr<SignalWatcher> signals, SignalWatcher::Install({SIGINT, SIGTERM}));
  bool is_cancelled = false;
  PullDisplay display(console);
  ModelStore store = FetchedModels();
  return store.Pull(reference, hub,
                    {.progress = [&](int64_t done, int64_t total) { display.Progress(done, total); },
                     .notice = [&](const std::string& text) { display.Notice(text); },
                     .is_cancelled = [&] { return is_cancelled = is_cancelled || signals->Take() > 0; }});
}

Result<std::filesystem::path> LocalModel(const std::string& path_or_reference, Console& console) {
  if (!ModelReference::Is(path_or_reference)) return path_or_reference;
  AUTOGLM_TRY(const ModelReference reference, ModelReference::Parse(path_or_reference));
  if (const auto here = FetchedModels().Find(reference)) return *here;
  return PullModel(reference, console);
}

}  // namespace autoglm
