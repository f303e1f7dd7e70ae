/*
 * OHIF's configuration. The words in double underscores are filled in when it is served (config/viewer.py), as JSON:
 * the folder of this build, the address of the viewer, the prefix of the site, the reader's language, its words.
 */
window.PUBLIC_URL = __BUILD__;
window.PUBLIC_LIB_URL = __BUILD__ + '${component}/';

// In a frame of another site (a launch, ADR 0028) a browser may refuse storage: then it lasts as long as the page.
for (const name of ['localStorage', 'sessionStorage']) {
  try {
    window[name].getItem('');
  } catch {
    const kept = new Map();
    const storage = {
      getItem: key => kept.get(String(key)) ?? null,
      setItem: (key, value) => void kept.set(String(key), String(value)),
      removeItem: key => void kept.delete(String(key)),
      clear: () => kept.clear(),
      key: at => [...kept.keys()][at] ?? null,
      get length() { return kept.size; },
    };
    Object.defineProperty(window, name, { value: storage, configurable: true });
  }
}

// A service worker of an older installation would go on serving its own copies.
if (navigator.serviceWorker) {
  navigator.serviceWorker.getRegistrations().then(all =>
    all.filter(one => new URL(one.scope).pathname.startsWith(__VIEWER__)).forEach(one => one.unregister()),
    () => undefined  // where the browser keeps none, there is none to take away
  );
}

// The interface speaks the language that the portal speaks with this reader; its detector looks at both places.
localStorage.setItem('i18nextLng', __LANGUAGE__);
document.cookie = 'i18next=' + __LANGUAGE__ + '; path=/; samesite=lax';
document.documentElement.lang = __LANGUAGE__;
// Words that OHIF's own Chinese lacks or has wrong are laid over it; "Spoken" are those that it never asks for.
{
  const own = __WORDS__;
  window.imagingLocales = shipped => {
    for (const [language, subjects] of Object.entries(own)) {
      const all = (shipped[language] ||= {});
      for (const [subject, words] of Object.entries(subjects)) {
        all[subject] = { ...all[subject], ...words };
      }
    }
    return shipped;
  };
  window.imagingWord = word => own[__LANGUAGE__]?.Spoken?.[word] ?? word;
}

// The panel of reports beside the pictures (reports.js).
window.imagingReports = { root: __ROOT__, report: __REPORT__, close: __CLOSE__, failed: __NO_REPORT__ };

// The tour would cover the picture at the first visit.
localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour']));

window.config = {
  name: 'imaging-cloud',
  routerBasename: __VIEWER__.replace(/\/$/, ''),
  extensions: [],
  modes: [],
  customizationService: {},
  whiteLabeling: {
    createLogoComponentFn: React =>
      React.createElement('a', { href: __ROOT__ + 'studies/', className: 'text-primary px-2' }, __PORTAL__),
  },
  showStudyList: true,
  maxNumberOfWebWorkers: 3,
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: true,
  showLoadingIndicator: true,
  strictZSpacingForVolumeViewport: true,
  groupEnabledModesFirst: true,
  investigationalUseDialog: { option: 'never' },
  maxNumRequests: { interaction: 100, thumbnail: 5, prefetch: 10 },
  defaultDataSourceName: 'dicomweb',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'dicomweb',
      configuration: {
        friendlyName: 'Imaging cloud',
        name: 'imaging-cloud',
        wadoUriRoot: __ROOT__ + 'wado',
        qidoRoot: __ROOT__ + 'dicom-web',
        wadoRoot: __ROOT__ + 'dicom-web',
        qidoSupportsIncludeField: true,
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        supportsReject: false,
        dicomUploadEnabled: false,
        staticWado: false,
        singlepart: 'bulkdata,video,pdf',
        bulkDataURI: { enabled: true, relativeResolution: 'series' },
      },
    },
  ],
};
