"""A whole chain of alerting, as small and quick as it gets: exporters -> Prometheus -> Alertmanager -> a webhook of ours."""
import json
import re
import shutil
from pathlib import Path

from prometheus_process import Alertmanager, Prometheus, WebhookReceiver

INTERVAL = "1s"
WINDOW = re.compile(r"\[(\d+)([smhdw])\]")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def shrink_windows(rules, divisor):
    """The text of rules with every window divided, [1h] by 60 to [60s]; names such as ratio_rate1h stay. None gets shorter than three scrapes."""
    return WINDOW.sub(lambda window: f"[{max(3, int(window[1]) * SECONDS[window[2]] // divisor)}s]", rules)


class AlertingChain:
    """Rules from `rules_folder` over what `targets` ({job: [address]}) export; scraped, evaluated and grouped every second.

    Rules keep their own windows: `shrink_windows` makes seconds of minutes."""

    def __init__(self, folder, rules_folder, targets):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.rules_folder = self.folder / "rules"
        shutil.copytree(rules_folder, self.rules_folder, dirs_exist_ok=True)
        self._started = []
        try:
            self.receiver = self._keep(WebhookReceiver())
            self.alertmanager = self._keep(Alertmanager(self.folder / "alertmanager", self._write_alertmanager_config()))
            self.prometheus = self._keep(Prometheus(self.folder / "prometheus", self._write_prometheus_config(targets)))
        except BaseException:
            self.stop()
            raise

    def _keep(self, process):
        self._started.append(process)
        return process

    # JSON is YAML.
    def _write_prometheus_config(self, targets):
        config = {
            "global": {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": INTERVAL},
            "rule_files": [f"{self.rules_folder}/*.yml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [self.alertmanager.address]}]}]},
            "scrape_configs": [{"job_name": job, "static_configs": [{"targets": addresses}]} for job, addresses in targets.items()],
        }
        path = self.folder / "prometheus.yml"
        path.write_text(json.dumps(config))
        return path

    def _write_alertmanager_config(self):
        config = {
            "route": {"receiver": "webhook", "group_by": ["alertname", "sloth_service", "sloth_slo", "sloth_severity"], "group_wait": INTERVAL,
                      "group_interval": INTERVAL, "repeat_interval": "1h"},
            "receivers": [{"name": "webhook", "webhook_configs": [{"url": self.receiver.url, "send_resolved": True}]}],
        }
        path = self.folder / "alertmanager.yml"
        path.write_text(json.dumps(config))
        return path

    def stop(self):
        for process in reversed(self._started):
            process.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
