#include "cli/metrics_command.h"

#include <CLI/CLI.hpp>
#include <ostream>

#include "cli/console.h"
#include "telemetry/metric_catalogue.h"

namespace autoglm {

void AddMetricsCommand(CLI::App& app, CommandAction& action) {
  CLI::App* command = app.add_subcommand("metrics", "List what servers and gateways measure, as Markdown.");
  command->footer("Example:\n  autoglm metrics | grep first_token");
  command->callback([&action] {
    action = [](Console& console) -> Result<int> {
      console.out << CatalogueMarkdown();
      return 0;
    };
  });
}

}  // namespace autoglm
