// Passkeys: between the server's JSON and the browser's objects (WebAuthn 3,
// 5.1.8 to 5.1.10; by hand where a browser can't yet).

const decode = (text) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
const encode = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const decodeIDs = (list) => list?.map((c) => ({ ...c, id: decode(c.id) }));

export const canUse = () => window.isSecureContext && 'PublicKeyCredential' in window;

function creationOptions(json) {
  if (PublicKeyCredential.parseCreationOptionsFromJSON) return PublicKeyCredential.parseCreationOptionsFromJSON(json);
  return {
    ...json, challenge: decode(json.challenge), user: { ...json.user, id: decode(json.user.id) },
    excludeCredentials: decodeIDs(json.excludeCredentials),
  };
}

function requestOptions(json) {
  if (PublicKeyCredential.parseRequestOptionsFromJSON) return PublicKeyCredential.parseRequestOptionsFromJSON(json);
  return { ...json, challenge: decode(json.challenge), allowCredentials: decodeIDs(json.allowCredentials) };
}

function plain(credential) {
  if (credential.toJSON) {
    try {
      return credential.toJSON();
    } catch { /* some password managers' objects can't */ }
  }
  const r = credential.response;
  const response = { clientDataJSON: encode(r.clientDataJSON) };
  for (const part of ['attestationObject', 'authenticatorData', 'signature', 'userHandle']) {
    if (r[part]) response[part] = encode(r[part]);
  }
  if (r.getTransports) response.transports = r.getTransports();
  return {
    id: credential.id, rawId: encode(credential.rawId), type: credential.type, response,
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined, clientExtensionResults: credential.getClientExtensionResults(),
  };
}

// register and prove take what …/begin answered, and give what …/finish wants.
export async function register({ sessionId, options }) {
  const credential = await navigator.credentials.create({ publicKey: creationOptions(options.publicKey) });
  return { sessionId, credential: plain(credential) };
}

export async function prove({ sessionId, options }) {
  const credential = await navigator.credentials.get({ publicKey: requestOptions(options.publicKey) });
  return { sessionId, credential: plain(credential) };
}
