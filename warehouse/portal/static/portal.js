// Switches the language of a page, draws its charts, filters its table. No request to another host.
"use strict";
(() => {
  const root = document.documentElement;
  const languages = { zh: "zh-CN", en: "en" };

  function remembered() {
    try {
      const found = localStorage.getItem("language");
      return found in languages ? found : "zh";
    } catch {
      return "zh"; // the browser keeps nothing
    }
  }

  function use(language) {
    root.dataset.language = language;
    root.lang = languages[language];
    const title = document.querySelector("title");
    document.title = title.dataset[language];
  }

  function textIn(language, value) {
    if (Array.isArray(value)) return value.map((one) => textIn(language, one));
    if (value === null || typeof value !== "object") return value;
    if (typeof value.zh === "string" && typeof value.en === "string") return value[language];
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, textIn(language, one)]));
  }

  const drawn = new Set();

  function draw(place) {
    drawn.add(place);
    const chart = textIn(root.dataset.language, JSON.parse(document.getElementById(place.dataset.chart).textContent));
    const layout = {
      font: { family: getComputedStyle(document.body).fontFamily, color: "#1b2330" },
      margin: { l: 50, r: 10, t: 10, b: 60 },
      legend: { orientation: "h", y: -0.3 },
      showlegend: true,
      hovermode: "closest",
      ...chart.layout,
    };
    layout.yaxis = { automargin: true, ...layout.yaxis };
    layout.xaxis = { automargin: true, ...layout.xaxis };
    Plotly.react(place, chart.data, layout, { displayModeBar: false, responsive: true });
  }

  function drawCharts() {
    const places = [...document.querySelectorAll("[data-chart]")];
    if (!places.length) return;
    const observer = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) {
          observer.unobserve(entry.target);
          draw(entry.target);
        }
      }
    }, { rootMargin: "400px" });
    places.forEach((place) => observer.observe(place));
    window.addEventListener("beforeprint", () => places.filter((place) => !drawn.has(place)).forEach(draw));
  }

  function filterRows(input) {
    const rows = [...document.getElementById(input.dataset.filters).tBodies[0].rows];
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/);
      rows.forEach((row) => {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      });
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    use(remembered());
    document.getElementById("language").addEventListener("click", () => {
      const language = root.dataset.language === "zh" ? "en" : "zh";
      use(language);
      drawn.forEach(draw);
      try {
        localStorage.setItem("language", language);
      } catch {
        // it lasts until the next page
      }
    });
    document.querySelectorAll("input[data-filters]").forEach(filterRows);
    drawCharts();
  });
  root.dataset.language = remembered(); // before anything is shown
})();
