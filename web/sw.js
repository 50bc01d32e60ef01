// Keeps what was loaded, so that the page works without a network, and isolates the page, so that WebAssembly has
// threads on servers that do not send these two headers themselves. The page registers sw.js?VERSION, see app.js.

const CACHE = `mobiledense-${location.search.slice(1)}`;
const SHELL = [
  './', 'app.js', 'decoding.js', 'draw.js', 'icon-192.png', 'icon-512.png', 'icon.svg', 'manifest.webmanifest',
  'metadata.js', 'predictor.js', 'resize.js', 'runtime_litert.js', 'runtime_onnx.js', 'site.json', 'sources.js', 'style.css',
];
const ISOLATION = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

self.addEventListener('install', (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(SHELL)).then(() => self.skipWaiting()));
});

self.addEventListener('activate', (event) => {
  event.waitUntil(removeOthers().then(() => self.clients.claim()));
});

self.addEventListener('fetch', (event) => {
  const { method, url } = event.request;
  if (method !== 'GET' || !url.startsWith(self.registration.scope)) return;
  const fresh = url.endsWith('/site.json'); // which says whether there is another version
  event.respondWith(fresh ? load(event.request).catch(() => stored(event.request)) : answer(event.request));
});

async function removeOthers() {
  for (const name of await caches.keys()) if (name.startsWith('mobiledense-') && name !== CACHE) await caches.delete(name);
}

async function answer(request) {
  return (await stored(request)) ?? load(request);
}

async function stored(request) {
  const found = await (await caches.open(CACHE)).match(request, { ignoreSearch: true });
  return found && isolated(found);
}

async function load(request) {
  const response = await fetch(request);
  if (response.ok) await (await caches.open(CACHE)).put(request, response.clone());
  return isolated(response);
}

function isolated(response) {
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(ISOLATION)) headers.set(name, value);
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
