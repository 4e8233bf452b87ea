"""The machines below: what node-exporter tells, and where a container's limits are known, those."""
from .grafana import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, above, below, board, figure, graph, table, variable
from .promql import NOW, WINDOW, Query, or_zero

NODE = 'job=~"$job", instance=~"$instance"'
DISK = NODE + ', device!~"loop.*|ram.*|zram.*"'
FILES = NODE + ', fstype!~"tmpfs|overlay|squashfs|ramfs|proc|sysfs|cgroup.*"'
NET = NODE + ', device!~"lo|veth.*|docker.*|br-.*"'
MODE_COLOURS = {"^user$": GREEN, "^system$": ORANGE, "^iowait$": PURPLE, "^steal$": RED, "^(soft)?irq$": "yellow", "^nice$": BLUE}
PRESSURE_COLOURS = {"processor": GREEN, "memory": ORANGE, "disk": PURPLE}


def per_instance(metric, selector=NODE, window=WINDOW):
    return f"sum by (instance) (rate({metric}{{{selector}}}[{window}]))"


IDLE = f'avg by (instance) (rate(node_cpu_seconds_total{{{NODE}, mode="idle"}}[{NOW}]))'
PRESSURES = [("processor", "node_pressure_cpu_waiting_seconds_total"), ("memory", "node_pressure_memory_waiting_seconds_total"),
             ("disk", "node_pressure_io_waiting_seconds_total")]
STALLS = [("memory", "node_pressure_memory_stalled_seconds_total"), ("disk", "node_pressure_io_stalled_seconds_total")]

GLANCE = [
    figure("Busiest processors", "Is a machine out of processors? Share not idle, last five minutes.", Query(f"max(1 - {IDLE})"), unit="percentunit",
           thresholds=below(0.8, 0.95), maximum=1),
    figure("Waiting for processors", "Do processes wait for a processor? Share of the last five minutes in which some did.",
           Query(f"max(rate(node_pressure_cpu_waiting_seconds_total{{{NODE}}}[{NOW}]))"), unit="percentunit", thresholds=below(0.1, 0.3)),
    figure("Stolen", "Does the host give our processors to others? Share of their time, last five minutes.",
           Query(f'max(avg by (instance) (rate(node_cpu_seconds_total{{{NODE}, mode="steal"}}[{NOW}])))'), unit="percentunit",
           thresholds=below(0.02, 0.1)),
    figure("Least memory left", "Is a machine about to run out of memory?",
           Query(f"min(node_memory_MemAvailable_bytes{{{NODE}}} / node_memory_MemTotal_bytes{{{NODE}}})"), unit="percentunit",
           thresholds=above(0.05, 0.15)),
    figure("Killed for memory", "Did the kernel kill something in the last hour?", Query(f"sum(increase(node_vmstat_oom_kill{{{NODE}}}[1h]))"),
           unit="none", thresholds=below(0.5, 0.5)),
    figure("Least disk left", "Is a disk about to be full?", Query(f"min(node_filesystem_avail_bytes{{{FILES}}} / (node_filesystem_size_bytes{{{FILES}}} > 0))"),
           unit="percentunit", thresholds=above(0.05, 0.15)),
    figure("Packets sent again", "Does the network lose packets? Share of TCP segments, last five minutes.",
           Query(f"sum(rate(node_netstat_Tcp_RetransSegs{{{NODE}}}[{NOW}])) / (sum(rate(node_netstat_Tcp_OutSegs{{{NODE}}}[{NOW}])) > 0)"),
           unit="percentunit", thresholds=below(0.001, 0.01)),
    figure("Machines not seen", "Is the picture complete?", Query(or_zero(f"count(up{{{NODE}}} == 0)")), unit="none", thresholds=below(1, 1)),
]

CPU = [
    graph("Processors by what they do", "What keeps the processors busy? Cores, without idle ones.",
          [Query(f'sum by (mode) (rate(node_cpu_seconds_total{{{NODE}, mode!="idle"}}[{WINDOW}]))', "{{mode}}")], unit="short", stacking="normal",
          colours=MODE_COLOURS),
    graph("Busy processors by machine", "Which machine is busy?",
          [Query(f'1 - avg by (instance) (rate(node_cpu_seconds_total{{{NODE}, mode="idle"}}[{WINDOW}]))', "{{instance}}")], unit="percentunit",
          maximum=1, line=below(0.8, 0.95)),
    graph("Load for each processor", "Do processes queue? Above 1 more want to run than can.",
          [Query(f'sum by (instance) (node_load1{{{NODE}}}) / count by (instance) (node_cpu_seconds_total{{{NODE}, mode="idle"}})', "{{instance}}")],
          unit="none", line=below(1, 2)),
    graph("Stolen by the host", "Does a neighbour or the hypervisor slow us down? It looks like slow code and is none.",
          [Query(f'avg by (instance) (rate(node_cpu_seconds_total{{{NODE}, mode="steal"}}[{WINDOW}]))', "{{instance}}")], unit="percentunit"),
    graph("Throttled by limits", "Does a container's CPU limit stop it? Share of its periods in which it was stopped; a limit bites long before the average "
          "is near it. Needs cAdvisor's metrics, as every kubelet has them.",
          [Query(f"sum by (pod, container) (rate(container_cpu_cfs_throttled_periods_total[{WINDOW}])) / "
                 f"(sum by (pod, container) (rate(container_cpu_cfs_periods_total[{WINDOW}])) > 0)", "{{pod}} {{container}}")],
          unit="percentunit", maximum=1, line=below(0.05, 0.25)),
    graph("Throttled for heat", "Do processors slow down because they are hot? Events a second; virtual machines do not know.",
          [Query(per_instance("node_cpu_core_throttles_total"), "{{instance}}")], unit="short"),
]

PRESSURE = [
    graph("Somebody waits", "What do processes wait for? Share of time in which at least one was held up (pressure stall information, some).",
          [Query(f"max by (instance) (rate({metric}{{{NODE}}}[{WINDOW}]))", what + " {{instance}}") for what, metric in PRESSURES],
          unit="percentunit", width=8, colours=PRESSURE_COLOURS),
    graph("Everybody waits", "Does work stand still? Share of time in which all processes were held up (full).",
          [Query(f"max by (instance) (rate({metric}{{{NODE}}}[{WINDOW}]))", what + " {{instance}}") for what, metric in STALLS],
          unit="percentunit", width=8, colours=PRESSURE_COLOURS),
    graph("Waiting to run", "How long do runnable processes wait for a processor? Seconds a second; needs a kernel with scheduler statistics.",
          [Query(per_instance("node_schedstat_waiting_seconds_total"), "{{instance}}")], unit="short"),
]

MEMORY = [
    graph("Memory", "What takes the memory? The files of models count as cache, and losing them makes the next start slow.",
          [Query(f"sum(node_memory_MemTotal_bytes{{{NODE}}} - node_memory_MemFree_bytes{{{NODE}}} - node_memory_Cached_bytes{{{NODE}}} - "
                 f"node_memory_Buffers_bytes{{{NODE}}} - node_memory_SReclaimable_bytes{{{NODE}}})", "processes and kernel"),
           Query(f"sum(node_memory_Cached_bytes{{{NODE}}} + node_memory_Buffers_bytes{{{NODE}}} + node_memory_SReclaimable_bytes{{{NODE}}})", "cache"),
           Query(f"sum(node_memory_MemFree_bytes{{{NODE}}})", "free")], unit="bytes", stacking="normal",
          colours={"^processes": ORANGE, "^cache$": BLUE, "^free$": GREY}),
    graph("Memory left", "How much could still be had without swapping?", [Query(f"node_memory_MemAvailable_bytes{{{NODE}}}", "{{instance}}")],
          unit="bytes"),
    graph("Pages read again and swapped", "Does memory come from disk? Each is a stall of milliseconds.",
          [Query(per_instance("node_vmstat_pgmajfault"), "read again {{instance}}"), Query(per_instance("node_vmstat_pswpin"), "swapped in {{instance}}"),
           Query(per_instance("node_vmstat_pswpout"), "swapped out {{instance}}")], unit="short"),
]

DISKS = [
    graph("Disk busy", "Is a disk at its limit? Share of time with something under way.",
          [Query(f"rate(node_disk_io_time_seconds_total{{{DISK}}}[{WINDOW}])", "{{instance}} {{device}}")], unit="percentunit"),
    graph("Time of one access", "How long does a read or write take? Mean over the window.",
          [Query(f"rate(node_disk_{kind}_time_seconds_total{{{DISK}}}[{WINDOW}]) / (rate(node_disk_{kind}s_completed_total{{{DISK}}}[{WINDOW}]) > 0)",
                 kind + " {{instance}} {{device}}") for kind in ("read", "write")], unit="s"),
    graph("Disk traffic", "How much is read and written?",
          [Query(f"rate(node_disk_read_bytes_total{{{DISK}}}[{WINDOW}])", "read {{instance}} {{device}}"),
           Query(f"rate(node_disk_written_bytes_total{{{DISK}}}[{WINDOW}])", "written {{instance}} {{device}}")], unit="Bps"),
    table("Room on disks", "Which disk fills up, and when? Full in: if it goes on as in the last six hours.",
          [("Left", Query(f"min by (instance, mountpoint) (node_filesystem_avail_bytes{{{FILES}}})"), "bytes", None),
           ("Left, share", Query(f"min by (instance, mountpoint) (node_filesystem_avail_bytes{{{FILES}}} / (node_filesystem_size_bytes{{{FILES}}} > 0))"),
            "percentunit", above(0.05, 0.15)),
           ("Full in", Query(f"min by (instance, mountpoint) (node_filesystem_avail_bytes{{{FILES}}} / "
                             f"(-deriv(node_filesystem_avail_bytes{{{FILES}}}[6h]) > 0))"), "s", above(86400, 604800))],
          names_of_labels={"instance": "Instance", "mountpoint": "Folder"}),
]

NETWORK = [
    graph("Network traffic", "Is a network card at its limit?",
          [Query(f"rate(node_network_receive_bytes_total{{{NET}}}[{WINDOW}])", "in {{instance}} {{device}}"),
           Query(f"rate(node_network_transmit_bytes_total{{{NET}}}[{WINDOW}])", "out {{instance}} {{device}}")], unit="Bps"),
    graph("Packets lost and damaged", "Is the network ill?",
          [Query(per_instance("node_network_receive_drop_total", NET), "dropped in {{instance}}"),
           Query(per_instance("node_network_transmit_drop_total", NET), "dropped out {{instance}}"),
           Query(per_instance("node_network_receive_errs_total", NET), "damaged in {{instance}}"),
           Query(per_instance("node_network_transmit_errs_total", NET), "damaged out {{instance}}")], unit="pps"),
    graph("TCP segments sent again", "Is the path to clients or upstreams lossy? Each is at least 200 ms for somebody.",
          [Query(f"{per_instance('node_netstat_Tcp_RetransSegs')} / ({per_instance('node_netstat_Tcp_OutSegs')} > 0)", "{{instance}}")],
          unit="percentunit", line=below(0.001, 0.01)),
    graph("Connections refused by the kernel", "Do clients come faster than they are accepted?",
          [Query(per_instance("node_netstat_TcpExt_ListenOverflows"), "line full {{instance}}"),
           Query(per_instance("node_netstat_TcpExt_ListenDrops"), "dropped {{instance}}")], unit="short"),
    graph("Connections", "How many are open?", [Query(f"node_netstat_Tcp_CurrEstab{{{NODE}}}", "{{instance}}")], unit="short"),
    graph("Clock", "Can times of different machines be compared? How far each clock is off.", [Query(f"abs(node_timex_offset_seconds{{{NODE}}})", "{{instance}}")],
          unit="s"),
]

BOARD = board("autoglm-nodes", "Open-AutoGLM / Nodes", "Is it the machine: processors, memory, disks or network?",
              [variable("job", "Job", "label_values(node_uname_info, job)", all_values="node.*"),
               variable("instance", "Instance", 'label_values(node_uname_info{job=~"$job"}, instance)')],
              [("At a glance: the last five minutes", GLANCE), ("Processors", CPU), ("Pressure", PRESSURE), ("Memory", MEMORY), ("Disks", DISKS),
               ("Network", NETWORK)])
