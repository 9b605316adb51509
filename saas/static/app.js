/* Comfort only: every page works without this file. No inline handlers, no libraries. */
(function () {
  "use strict";

  var dialog = document.getElementById("confirm");

  function show(selector) {
    document.querySelectorAll(selector).forEach(function (element) { element.hidden = false; });
  }

  /* data-confirm="…" on a form or on the button that sends it: ask first, in the page. */
  function question(form, submitter) {
    return (submitter && submitter.dataset.confirm) || form.dataset.confirm || "";
  }

  function ask(form, submitter, text) {
    dialog.querySelector("[data-confirm-text]").textContent = text;
    dialog.returnValue = "";
    dialog.onclose = function () {
      if (dialog.returnValue !== "yes") { return; }
      form.dataset.confirmed = "yes";
      form.requestSubmit(submitter || undefined);
    };
    dialog.showModal();
  }

  /* A form is sent once: the second click of a double click does nothing. */
  document.addEventListener("submit", function (event) {
    var form = event.target;
    var text = question(form, event.submitter);
    if (event.defaultPrevented || (form.method || "").toLowerCase() === "dialog") { return; }
    if (form.dataset.submitting) { event.preventDefault(); return; }
    if (text && !form.dataset.confirmed && dialog && dialog.showModal) {
      event.preventDefault();
      ask(form, event.submitter, text);
      return;
    }
    delete form.dataset.confirmed;
    form.dataset.submitting = "yes";
  });

  /* The browser's back button shows a page as it was left: let its forms be sent again. */
  window.addEventListener("pageshow", function () {
    document.querySelectorAll("form[data-submitting]").forEach(function (form) { delete form.dataset.submitting; });
  });

  /* An open menu closes on a click elsewhere and on Escape. */
  document.addEventListener("click", function (event) {
    document.querySelectorAll("details.menu[open]").forEach(function (menu) {
      if (!menu.contains(event.target)) { menu.open = false; }
    });
  });
  document.addEventListener("keydown", function (event) {
    if (event.key !== "Escape") { return; }
    document.querySelectorAll("details.menu[open]").forEach(function (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  });

  /* data-copy, data-download, data-print: act on the text of the list that they name. */
  function lines(selector) {
    return Array.from(document.querySelectorAll(selector + " li"), function (item) { return item.textContent.trim(); }).join("\n") + "\n";
  }

  function say(button) {
    var place = document.getElementById(button.getAttribute("aria-describedby"));
    if (place) { place.textContent = button.dataset.done || ""; }
  }

  document.addEventListener("click", function (event) {
    var button = event.target.closest("[data-copy], [data-download], [data-print]");
    if (!button) { return; }
    if (button.dataset.copy) {
      navigator.clipboard.writeText(lines(button.dataset.copy)).then(function () { say(button); });
    } else if (button.dataset.download) {
      var link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([lines(button.dataset.download)], { type: "text/plain" }));
      link.download = button.dataset.filename;
      link.click();
      setTimeout(function () { URL.revokeObjectURL(link.href); }, 1000);
    } else {
      window.print();
    }
  });

  show("[data-needs-script]");
  if (!navigator.clipboard) {
    document.querySelectorAll("[data-copy]").forEach(function (button) { button.hidden = true; });
  }

  var invalid = document.querySelector('main [aria-invalid="true"]');
  if (invalid) { invalid.focus(); }
}());
