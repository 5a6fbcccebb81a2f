// Runs before the page is drawn, so that a chosen theme is there at once.
(function () {
  "use strict";
  try {
    const chosen = localStorage.getItem("sagahost.theme");
    if (chosen === "light" || chosen === "dark") {
      document.documentElement.dataset.theme = chosen;
    }
  } catch {
    // Without storage the theme is that of the system.
  }
})();
