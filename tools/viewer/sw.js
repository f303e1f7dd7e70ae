/*
 * There is no service worker here any more. A browser that still has one asks for this file before anything else:
 * the new one throws away what the old one kept, removes itself, and loads the open pages again.
 */
self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', event => {
  event.waitUntil(
    (async () => {
      const own = (await caches.keys()).filter(name => name.includes(self.registration.scope));
      await Promise.all(own.map(name => caches.delete(name)));
      await self.registration.unregister();
      for (const client of await self.clients.matchAll({ type: 'window' })) {
        client.navigate(client.url);
      }
    })()
  );
});
