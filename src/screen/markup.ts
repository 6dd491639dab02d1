/** The body of the page: one screen, and three sheets that take its place (history, details, the question before an action). */

export const markup = `
<main id="screen">
<header>
<b id="name"></b>
<span id="link" role="status"></span>
</header>
<section>
<div id="ring" role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-labelledby="title">
<svg viewBox="0 0 120 120" aria-hidden="true">
<circle class="track" cx="60" cy="60" r="53"/>
<circle id="arc" cx="60" cy="60" r="53" transform="rotate(-90 60 60)"/>
<path class="sign ok" d="M39 62l15 15 28-32"/>
<path class="sign bad" d="M60 36v30M60 81v1"/>
<path class="sign held" d="M60 34v28l18 12"/>
<path class="sign back" d="M46 36l-14 14 14 14M34 50h34a17 17 0 0 1 0 34h-16"/>
</svg>
<div id="figure"><span id="percent"></span><small>%</small></div>
</div>
<div id="words">
<h1 id="title" aria-live="polite"></h1>
<p id="version"></p>
<p id="detail"></p>
<p id="facts"><span id="amount"></span><span id="rate"></span><span id="left"></span></p>
<p id="note"></p>
<div id="error" role="alert"><p id="reason"></p><p id="raw"></p></div>
</div>
</section>
<footer>
<ol id="steps"></ol>
<nav><button id="showHistory"></button><button id="showDetails"></button><button id="askCancel"></button><button id="askInstall" class="good"></button><button id="askConsent" class="good"></button><button id="askRollback"></button></nav>
</footer>
</main>
<div id="history" class="sheet" role="dialog" aria-labelledby="historyTitle" hidden>
<header><h2 id="historyTitle"></h2><button id="closeHistory"></button></header>
<ul id="entries" tabindex="0" aria-labelledby="historyTitle"></ul>
</div>
<div id="details" class="sheet" role="dialog" aria-labelledby="detailsTitle" hidden>
<header><h2 id="detailsTitle"></h2><button id="closeDetails"></button></header>
<div id="scroll" tabindex="0" aria-labelledby="detailsTitle"><p id="lead"></p><p id="more"></p></div>
</div>
<div id="question" class="sheet" role="alertdialog" aria-labelledby="ask" aria-describedby="consequence" hidden>
<h2 id="ask"></h2>
<p id="consequence"></p>
<p id="refusal" role="alert"></p>
<nav><button id="stay"></button><button id="act"></button></nav>
</div>
`;
