"""What a Grafana dashboard is made of, in the shapes that our boards use. A panel is a dict; `board` gives it an id and a place."""
COLUMNS = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

GREEN, YELLOW, ORANGE, RED, DARK_RED, BLUE, PURPLE, GREY = (
    "green", "yellow", "orange", "red", "dark-red", "blue", "purple", "text")

# The same thing has the same colour on every board. Patterns are looked for in the names of series.
QUANTILE_COLOURS = {r"p50\b": GREEN, r"p95\b": ORANGE, r"p99\b": RED}
CODE_COLOURS = {r"\b2\d\d$": GREEN, r"\b3\d\d$": BLUE, r"\b4\d\d$": YELLOW, r"\b429$": ORANGE, r"\b499$": GREY, r"\b5\d\d$": RED, r"\b0$": DARK_RED}
# Waiting is red and orange, computing blue and green, moving bytes purple, what nobody can explain grey.
STAGE_COLOURS = {
    "^receive_head$": "light-purple", "^receive_body$": "purple", "^auth$": "super-light-yellow", "^rate_limit$": "light-yellow",
    "^parse$": "light-blue", "^scan$": "light-blue", "^model_load$": "dark-yellow", "^template$": "super-light-blue", "^tokenize$": "semi-dark-blue",
    "^admission$": "light-orange", "^kv_restore$": "yellow", "^queue$": "red", "^preempted$": "dark-red", "^prefill$": "blue",
    "^prefill_stall$": "orange", "^decode$": "green", "^decode_stall$": "dark-orange", "^route$": "semi-dark-yellow", "^connect$": "light-red",
    "^send$": "semi-dark-purple", "^wait$": "blue", "^stream$": "green", "^retry_wait$": "dark-red", "^deliver$": "dark-purple",
    "^unexplained$": GREY}


def below(doubtful, bad):
    """Thresholds of a value that should be small."""
    return [(None, GREEN), (doubtful, ORANGE), (bad, RED)]


def above(bad, doubtful):
    """Thresholds of a value that should be large: red below `bad`, orange below `doubtful`."""
    return [(None, RED), (bad, ORANGE), (doubtful, GREEN)]


def _steps(thresholds):
    return {"mode": "absolute", "steps": [{"color": colour, "value": value} for value, colour in thresholds or [(None, GREEN)]]}


def _mappings(names):
    """{value: (text, colour)} as value mappings."""
    if not names:
        return []
    return [{"type": "value", "options": {str(value): {"text": text, "color": colour, "index": index}
                                          for index, (value, (text, colour)) in enumerate(names.items())}}]


def _colour_overrides(colours):
    return [{"matcher": {"id": "byRegexp", "options": f"/{pattern}/"},
             "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}]} for pattern, colour in (colours or {}).items()]


def _targets(queries, **options):
    targets = []
    for index, query in enumerate(queries):
        target = {"refId": chr(ord("A") + index), "datasource": DATASOURCE, "editorMode": "code", "expr": query.expr,
                  "legendFormat": query.legend or "__auto", "exemplar": query.exemplars, "instant": False, "range": True}
        targets.append(target | options)
    return targets


INSTANT = {"instant": True, "range": False}


def _panel(kind, title, question, queries, *, unit, width, height, thresholds=None, names=None, colours=None, minimum=None, maximum=None,
           custom=None, options=None, target_options=None, links=()):
    defaults = {"unit": unit, "thresholds": _steps(thresholds), "mappings": _mappings(names), "custom": custom or {},
                "color": {"mode": "thresholds" if thresholds or names else "palette-classic-by-name"}}
    if minimum is not None:
        defaults["min"] = minimum
    if maximum is not None:
        defaults["max"] = maximum
    return {"type": kind, "title": title, "description": question, "datasource": DATASOURCE, "gridPos": {"w": width, "h": height},
            "fieldConfig": {"defaults": defaults, "overrides": _colour_overrides(colours)}, "options": options or {},
            "targets": _targets(queries, **(target_options or {})), "links": [dict(link) for link in links]}


def graph(title, question, queries, *, unit, width=8, height=8, stacking="none", line=None, right=None, **rest):
    """Lines over time; `stacking`: none, normal or percent; `line`: thresholds drawn as dashed lines; `right`: {pattern: unit} of series that
    have the right axis."""
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 5 if stacking == "none" else 70, "showPoints": "never", "spanNulls": False,
              "stacking": {"mode": stacking, "group": "A"}, "thresholdsStyle": {"mode": "dashed" if line else "off"}}
    options = {"legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]},
               "tooltip": {"mode": "multi", "sort": "desc"}}
    panel = _panel("timeseries", title, question, queries, unit=unit, width=width, height=height, thresholds=line, custom=custom,
                   options=options, minimum=rest.pop("minimum", 0), **rest)
    panel["fieldConfig"]["defaults"]["color"] = {"mode": "palette-classic-by-name"}
    for pattern, right_unit in (right or {}).items():
        panel["fieldConfig"]["overrides"].append({"matcher": {"id": "byRegexp", "options": f"/{pattern}/"}, "properties": [
            {"id": "unit", "value": right_unit}, {"id": "custom.axisPlacement", "value": "right"}]})
    return panel


def figure(title, question, query, *, unit, width=3, height=4, **rest):
    """One number, of now. An instant query: a value of a quarter of an hour ago must not stand there as if it were news."""
    options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "background", "graphMode": "none",
               "justifyMode": "auto", "textMode": "auto", "orientation": "auto"}
    queries = query if isinstance(query, list) else [query]
    return _panel("stat", title, question, queries, unit=unit, width=width, height=height, options=options, target_options=INSTANT, **rest)


def bars(title, question, query, *, unit, width=8, height=8, **rest):
    options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "displayMode": "gradient",
               "orientation": "horizontal", "showUnfilled": True, "valueMode": "color"}
    return _panel("bargauge", title, question, [query], unit=unit, width=width, height=height, options=options, target_options=INSTANT, **rest)


def timeline(title, question, queries, names, *, width=12, height=8):
    """States over time; `names`: {value: (text, colour)}."""
    options = {"mergeValues": True, "showValue": "auto", "rowHeight": 0.9, "alignValue": "left",
               "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}, "tooltip": {"mode": "single", "sort": "none"}}
    return _panel("state-timeline", title, question, queries, unit="none", width=width, height=height, names=names,
                  custom={"fillOpacity": 80, "lineWidth": 0, "insertNulls": False}, options=options)


def heatmap(title, question, query, *, unit, width=8, height=8):
    """`query` must give increases by `le`."""
    options = {"calculate": False, "cellGap": 1, "yAxis": {"unit": unit, "axisPlacement": "left"}, "rowsFrame": {"layout": "auto"},
               "color": {"mode": "scheme", "scheme": "Oranges", "exponent": 0.5, "steps": 64, "reverse": False, "fill": "dark-orange"},
               "filterValues": {"le": 1e-9}, "legend": {"show": True}, "showValue": "never", "tooltip": {"mode": "single", "yHistogram": True},
               "exemplars": {"color": "rgba(255,0,255,0.7)"}}
    return _panel("heatmap", title, question, [query], unit="none", width=width, height=height, options=options,
                  target_options={"format": "heatmap", "legendFormat": "{{le}}"})


def table(title, question, columns, *, width=24, height=8, names_of_labels=None):
    """One row a label set; `columns`: [(header, query, unit, thresholds)]. The queries must agree in their labels."""
    panel = _panel("table", title, question, [query for _, query, _, _ in columns], unit="none", width=width, height=height,
                   custom={"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False}, options={"showHeader": True, "cellHeight": "sm"},
                   target_options=INSTANT | {"format": "table"})
    # A single frame calls its value "Value", several call theirs by their queries.
    value_names = ["Value"] if len(columns) == 1 else [f"Value #{target['refId']}" for target in panel["targets"]]
    for (header, _, unit, thresholds) in columns:
        properties = [{"id": "unit", "value": unit}]
        if thresholds:
            properties += [{"id": "thresholds", "value": _steps(thresholds)}, {"id": "color", "value": {"mode": "thresholds"}},
                           {"id": "custom.cellOptions", "value": {"type": "color-background", "mode": "basic"}}]
        panel["fieldConfig"]["overrides"].append({"matcher": {"id": "byName", "options": header}, "properties": properties})
    renames = dict(zip(value_names, (header for header, *_ in columns))) | (names_of_labels or {})
    panel["transformations"] = [{"id": "merge", "options": {}},
                                {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": renames, "indexByName": {}}}]
    return panel


def variable(name, label, expr, *, all_values=".*"):
    """A choice among a label's values; All is what matches `all_values`, by default anything and nothing at all."""
    return {"type": "query", "name": name, "label": label, "datasource": DATASOURCE, "definition": expr,
            "query": {"qryType": 1, "query": expr, "refId": "PrometheusVariableQueryEditor-VariableQuery"}, "refresh": 2, "sort": 1, "hide": 0, "multi": True, "includeAll": True,
            "allValue": all_values, "current": {"selected": True, "text": ["All"], "value": ["$__all"]}, "options": [], "regex": ""}


DATASOURCE_VARIABLE = {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus", "refresh": 1, "hide": 0,
                       "multi": False, "includeAll": False, "current": {}, "options": [], "regex": ""}


def annotation(name, expr, title, text, colour):
    return {"name": name, "datasource": DATASOURCE, "enable": True, "expr": expr, "titleFormat": title, "textFormat": text, "iconColor": colour,
            "step": "15s", "useValueForTime": False}


def to_board(uid, title):
    """A panel's link to another board, with the same time and choices."""
    return {"title": title, "url": f"/d/{uid}?${{__url_time_range}}&${{__all_variables}}", "targetBlank": False}


def _place(rows):
    """Flows the panels of each row into lines of 24 columns."""
    panels, y = [], 0
    for title, row in rows:
        panels.append({"type": "row", "title": title, "collapsed": False, "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1}, "panels": []})
        y, x, line_height = y + 1, 0, 0
        for panel in row:
            width, height = panel["gridPos"]["w"], panel["gridPos"]["h"]
            if x + width > COLUMNS:
                x, y, line_height = 0, y + line_height, 0
            panels.append(panel | {"gridPos": {"x": x, "y": y, "w": width, "h": height}})
            x, line_height = x + width, max(line_height, height)
        y += line_height
    return [{"id": index + 1} | panel for index, panel in enumerate(panels)]


def board(uid, title, question, variables, rows, annotations=()):
    links = [{"type": "dashboards", "title": "Open-AutoGLM", "tags": ["autoglm"], "asDropdown": False, "includeVars": True, "keepTime": True,
              "targetBlank": False, "icon": "external link", "tooltip": "The other boards, for the same time", "url": ""}]
    return {"uid": uid, "title": title, "description": question, "tags": ["autoglm"], "schemaVersion": 39, "version": 1, "editable": True,
            "graphTooltip": 1, "refresh": "15s", "time": {"from": "now-1h", "to": "now"}, "timezone": "browser", "links": links,
            "templating": {"list": [DATASOURCE_VARIABLE, *variables]}, "annotations": {"list": list(annotations)}, "panels": _place(rows)}
