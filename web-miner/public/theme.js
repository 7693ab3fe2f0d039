// Before the first paint: the theme that the visitor switched to on an earlier visit. No module, because modules wait for the page.
try {
  const theme = localStorage.getItem('shoal-theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage is switched off: the system's theme, then.
}
