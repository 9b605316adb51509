/* The browser's half of a passkey ceremony, written for this product.
 *
 * The page holds one form [data-passkey="create"|"get"] whose data-options are the server's options as JSON. The answer
 * of the authenticator goes into its field "credential" and the form is sent. Whatever goes wrong is said in words,
 * which the page brings along translated (data-message-*), and can be tried again.
 */
(function () {
  "use strict";

  var form = document.querySelector("form[data-passkey]");
  if (!form) { return; }
  var status = form.querySelector("[data-passkey-status]");
  var problem = form.querySelector("[data-passkey-problem]");
  var retry = form.querySelector("[data-passkey-retry]");

  function bytes(text) {
    var base64 = text.replace(/-/g, "+").replace(/_/g, "/");
    return Uint8Array.from(atob(base64 + "=".repeat((4 - base64.length % 4) % 4)), function (c) { return c.charCodeAt(0); });
  }

  function text(buffer) {
    if (!buffer) { return null; }
    var binary = Array.from(new Uint8Array(buffer), function (b) { return String.fromCharCode(b); }).join("");
    return btoa(binary).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }

  function descriptors(list) {
    return (list || []).map(function (one) { return Object.assign({}, one, { id: bytes(one.id) }); });
  }

  function creation(options) {
    if (PublicKeyCredential.parseCreationOptionsFromJSON) { return PublicKeyCredential.parseCreationOptionsFromJSON(options); }
    return Object.assign({}, options, {
      challenge: bytes(options.challenge),
      user: Object.assign({}, options.user, { id: bytes(options.user.id) }),
      excludeCredentials: descriptors(options.excludeCredentials)
    });
  }

  function request(options) {
    if (PublicKeyCredential.parseRequestOptionsFromJSON) { return PublicKeyCredential.parseRequestOptionsFromJSON(options); }
    return Object.assign({}, options, {
      challenge: bytes(options.challenge),
      allowCredentials: descriptors(options.allowCredentials)
    });
  }

  function plain(credential) {
    var response = credential.response;
    var answer = { clientDataJSON: text(response.clientDataJSON) };
    if (response.attestationObject) {
      answer.attestationObject = text(response.attestationObject);
      answer.transports = response.getTransports ? response.getTransports() : null;
    } else {
      answer.authenticatorData = text(response.authenticatorData);
      answer.signature = text(response.signature);
      answer.userHandle = text(response.userHandle);
    }
    return { id: credential.id, rawId: text(credential.rawId), type: credential.type, response: answer };
  }

  /* Password managers hand back credentials whose toJSON() is missing or throws. */
  function serialised(credential) {
    var value;
    try { value = credential.toJSON(); } catch (error) { value = plain(credential); }
    /* Flask-Security keeps this text with the passkey and reads credProps from it. */
    value.extensions = JSON.stringify(credential.getClientExtensionResults());
    return JSON.stringify(value);
  }

  function words(error) {
    var messages = form.dataset;
    switch (error && error.name) {
      case "NotAllowedError":
      case "AbortError":
        return messages.messageCancelled;
      case "InvalidStateError":
        return messages.messageRegistered || messages.messageFailed;
      case "NotSupportedError":
      case "ConstraintError":
        return messages.messageUnsupported;
      case "SecurityError":
        return messages.messageAddress;
      default:
        return messages.messageFailed;
    }
  }

  function fail(error) {
    status.hidden = true;
    problem.textContent = words(error);
    problem.hidden = false;
    retry.hidden = false;
    retry.focus();
  }

  function ceremony() {
    var options = JSON.parse(form.dataset.options);
    if (form.dataset.passkey === "create") {
      return navigator.credentials.create({ publicKey: creation(options) });
    }
    return navigator.credentials.get({ publicKey: request(options) });
  }

  async function start() {
    problem.hidden = true;
    retry.hidden = true;
    status.hidden = false;
    try {
      if (!window.PublicKeyCredential) { throw new DOMException("", window.isSecureContext ? "NotSupportedError" : "SecurityError"); }
      form.elements.credential.value = serialised(await ceremony());
      form.requestSubmit();
    } catch (error) {
      fail(error);
    }
  }

  retry.addEventListener("click", start);
  start();
}());
