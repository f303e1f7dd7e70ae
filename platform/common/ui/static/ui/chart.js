"use strict";
// Draws <div class="chart" data-chart="ID of a JSON script element"> with ECharts. The same figures stand in a table beside it.
(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const drawn = new Map();
  const options = (data) => ({
    animation: !window.matchMedia("(prefers-reduced-motion: reduce)").matches,
    color: [colour("--green"), colour("--red")],
    textStyle: { fontFamily: colour("--sans") },
    grid: { left: 8, right: 16, top: 36, bottom: 8, containLabel: true },
    legend: { top: 0, textStyle: { color: colour("--muted") } },
    // Rich text is painted on the canvas; HTML tooltips carry style attributes that the policy refuses.
    tooltip: { trigger: "axis", renderMode: "richText", backgroundColor: colour("--surface"), borderColor: colour("--edge"), textStyle: { color: colour("--ink") } },
    xAxis: { type: "category", data: data.labels, axisLabel: { color: colour("--muted"), hideOverlap: true }, axisLine: { lineStyle: { color: colour("--edge") } } },
    yAxis: { type: "value", name: data.unit, nameTextStyle: { color: colour("--muted"), align: "left" }, axisLabel: { color: colour("--muted") }, splitLine: { lineStyle: { color: colour("--line") } } },
    series: data.series.map((one) => ({ name: one.name, type: "bar", stack: "one", barMaxWidth: 28, data: one.values })),
  });
  const draw = () => {
    for (const [node, chart] of drawn) {
      if (!node.isConnected) { chart.dispose(); drawn.delete(node); }
    }
    for (const node of document.querySelectorAll("[data-chart]")) {
      const source = document.getElementById(node.dataset.chart);
      if (!source || !window.echarts) continue;
      const chart = drawn.get(node) || window.echarts.init(node);
      drawn.set(node, chart);
      chart.setOption(options(JSON.parse(source.textContent)));
    }
  };
  draw();
  document.addEventListener("htmx:afterSettle", draw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  window.addEventListener("resize", () => { for (const chart of drawn.values()) chart.resize(); });
})();
