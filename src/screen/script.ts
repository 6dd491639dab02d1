/**
 * What the page does, in the JavaScript of 2009 (ES5), for the browsers of old panels: listens to GET /events, asks
 * GET /progress where that is not to be had, and draws what it hears.
 *
 * Invariants: whatever comes from the updater is put in as text, never as markup; a page that hears nothing says so.
 * `#token=...` in the page's address is sent as the bearer token, by asking only, as EventSource cannot carry it;
 * `#lang=zh` (or en) outranks the browser's language. `WORDS` stands before this text: the tables of words.ts.
 */

/** A state that is not heard of for so long is asked for. */
const silenceMs = 20_000;

export const script = String.raw`
(function () {
  var api = 'api/v1.0/';
  var given = {};
  location.hash.slice(1).split('&').forEach(function (pair) {
    var at = pair.indexOf('=');
    given[pair.slice(0, at)] = decodeURIComponent(pair.slice(at + 1));
  });
  var language = /^zh/i.test(given.lang || navigator.language || '') ? 1 : 0;
  var text = {};
  Object.keys(WORDS.text).forEach(function (name) { text[name] = WORDS.text[name][language]; });
  var now = null;
  var updates = [];
  var source = null;
  var heardAt = 0;
  var triedAt = 0;
  var asking = false;
  var sheet = '';

  function $(id) { return document.getElementById(id); }

  function put(id, value) {
    var element = $(id);
    if (element.textContent !== value) element.textContent = value;
    element.hidden = value === '';
  }

  function fill(template) {
    var values = arguments;
    var index = 0;
    return template.replace(/\{\}/g, function () { return values[++index]; });
  }

  function ask(method, path, done) {
    var request = new XMLHttpRequest();
    request.open(method, api + path);
    request.timeout = 4000;
    if (given.token) request.setRequestHeader('Authorization', 'Bearer ' + given.token);
    if (method === 'POST') request.setRequestHeader('Content-Type', 'application/json');
    request.onloadend = function () {
      var reply = null;
      try { reply = JSON.parse(request.responseText); } catch (_) { reply = null; }
      done(reply);
    };
    request.send(method === 'POST' ? '{}' : null);
  }

  function hear(state) {
    heardAt = Date.now();
    var before = now;
    now = state;
    if (!before || before.stage !== state.stage) {
      askHistory();
      if (isBusy() && sheet) show('');
    }
    draw();
  }

  function isBusy() { return now && !/^(idle|success|failed)$/.test(now.stage); }

  function listen() {
    triedAt = Date.now();
    source = new EventSource(api + 'events');
    source.addEventListener('progress', function (event) { hear(JSON.parse(event.data)); });
    source.onerror = function () {
      source.close();
      source = null;
      poll();
    };
  }

  function poll() {
    if (asking) return;
    asking = true;
    ask('GET', 'progress', function (reply) {
      asking = false;
      if (reply && reply.data) {
        hear(reply.data);
        if (canListen() && !source && Date.now() - triedAt > 5000) listen();
      } else {
        if (source) source.close();
        source = null;
        heardAt = 0;
        triedAt = 0;
        draw();
      }
    });
  }

  function canListen() { return 'EventSource' in window && !given.token; }

  function askHistory() {
    ask('GET', 'history', function (reply) {
      if (!reply || !reply.data) return;
      updates = reply.data.updates;
      draw();
    });
  }

  function draw() {
    var stage = now ? now.stage : 'idle';
    var latest = installed();
    var other = now && WORDS.others[now.kind];
    var tone = { idle: 'ok', toInstall: 'ok wait', success: 'ok', failed: 'bad' }[stage] || '';
    var percent = now ? now.progress : 0;
    var shown = tone ? 100 : percent;
    $('screen').className = tone + (heardAt ? '' : ' lost') + (shown ? '' : ' zero');
    put('link', heardAt ? text.live : text.lost);
    put('title', !now ? text.name : ((other && other[stage]) || WORDS.stages[stage])[language]);
    put('version', versionLine(stage, latest));
    put('detail', detailLine(stage, latest));
    drawFacts();
    put('percent', String(percent));
    $('ring').setAttribute('aria-valuenow', percent);
    $('arc').style.strokeDashoffset = 333 * (1 - shown / 100);
    drawError(now && now.error);
    drawSteps(stage, other);
    $('showQuestion').hidden = isBusy() || !heardAt || !candidate();
    $('showHistory').hidden = !heardAt;
  }

  function versionLine(stage, latest) {
    var version = stage === 'idle' ? latest && latest.version : now.version;
    if (stage === 'success' && latest) version = latest.version;
    if (isKnown(version)) return fill(text.version, version);
    return now && stage === 'idle' ? text.none : '';
  }

  // Where nothing is installed there is no version; entries of 0.1.0 say 0.0.0 then.
  function isKnown(version) { return version && version !== '0.0.0'; }

  function detailLine(stage, latest) {
    if (!now) return '';
    if (/^(waits for your consent|scheduled: )/.test(now.message)) return waitLine();
    if (stage === 'toInstall') return text.ready;
    if (stage === 'idle') return latest ? fill(text.since, day(latest.ended_at)) : '';
    if (stage !== 'installing') return '';
    var message = (language && WORDS.messages[now.message]) || now.message;
    var hold = /^waiting for (.*) \(until /.exec(message);
    if (hold) return fill(text.wait, hold[1]);
    if (/^(installing|rolling back)$/.test(message)) return '';
    message = message.charAt(0).toUpperCase() + message.slice(1);
    return now.module ? message + ' \u00b7 ' + now.module : message;
  }

  function waitLine() {
    var chinese = language && WORDS.messages[now.message.replace(/ to version .*/, '')];
    return chinese || now.message.charAt(0).toUpperCase() + now.message.slice(1);
  }

  function drawFacts() {
    var rate = now && now.bytes_per_second;
    var isCounted = now && now.total_bytes > 0;
    put('amount', isCounted ? fill(text.amount, size(now.bytes), size(now.total_bytes)) : '');
    put('rate', isCounted && rate !== null ? fill(text.rate, size(rate)) : '');
    put('left', isCounted && rate > 0 ? fill(text.left, time((now.total_bytes - now.bytes) / rate)) : '');
    $('facts').hidden = !isCounted;
  }

  function drawError(error) {
    $('error').hidden = !error;
    if (!error) return;
    put('reason', inWords(error));
    put('raw', error);
  }

  function inWords(error) { return (WORDS.errors[error.split(':')[0]] || WORDS.errors.INTERNAL_ERROR)[language]; }

  function drawSteps(stage, other) {
    var names = other ? [other.installing, WORDS.steps[3]] : WORDS.steps;
    var at = other || stage === 'downloading' ? 0 : stage === 'verifying' ? 1 : 2;
    var list = $('steps');
    list.hidden = !isBusy();
    list.textContent = '';
    names.forEach(function (name, index) {
      var item = add(list, 'li', name[language]);
      item.className = index < at ? 'done' : index === at ? 'now' : '';
      if (index === at) item.setAttribute('aria-current', 'step');
    });
  }

  function installed() {
    return updates.filter(function (one) { return one.outcome === 'success'; })[0];
  }

  // The update that a rollback would take back: the newest that no rollback has taken back already.
  function candidate() {
    var taken = 0;
    return updates.filter(function (one) {
      if (one.outcome !== 'success') return false;
      if (one.kind === 'repair') return false;
      if (one.kind === 'rollback') { taken += 1; return false; }
      return taken-- <= 0;
    })[0];
  }

  function drawHistory() {
    var list = $('entries');
    list.textContent = '';
    updates.slice(0, 50).forEach(function (one) {
      var item = add(list, 'li', '');
      item.className = one.outcome;
      add(item, 'time', day(one.ended_at));
      add(item, 'b', { update: text.update, rollback: text.rolled, repair: text.repaired }[one.kind] + (isKnown(one.version) ? ' ' + one.version : ''));
      add(item, 'p', one.error ? inWords(one.error) : one.modules.join(', '));
    });
    if (!updates.length) add(list, 'li', text.empty);
  }

  function add(parent, tag, value) {
    var element = parent.appendChild(document.createElement(tag));
    element.textContent = value;
    return element;
  }

  function size(bytes) {
    var units = ['B', 'kB', 'MB', 'GB'];
    var unit = 0;
    while (bytes >= 1000 && unit < 3) { bytes /= 1000; unit += 1; }
    return (unit === 0 || bytes >= 100 ? Math.round(bytes) : bytes.toFixed(1)) + ' ' + units[unit];
  }

  function time(seconds) {
    if (seconds < 60) return fill(text.seconds, Math.ceil(seconds));
    return fill(text.minutes, Math.ceil(seconds / 60));
  }

  function day(iso) {
    var date = new Date(iso);
    function two(number) { return (number < 10 ? '0' : '') + number; }
    return [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-') + ' ' +
      two(date.getHours()) + ':' + two(date.getMinutes());
  }

  // A sheet takes the place of the screen, so that nothing behind it can be reached by key or touch.
  function show(name) {
    var back = { history: 'showHistory', question: 'showQuestion' }[sheet];
    sheet = name;
    $('screen').hidden = name !== '';
    $('history').hidden = name !== 'history';
    $('question').hidden = name !== 'question';
    var focus = { history: 'closeHistory', question: 'keep', '': back }[name];
    if (focus) $(focus).focus();
  }

  function showQuestion() {
    var to = candidate().previous_version;
    put('ask', to ? fill(text.ask, to) : text.askUnknown);
    put('refusal', '');
    $('rollback').disabled = false;
    show('question');
  }

  function rollBack() {
    $('rollback').disabled = true;
    ask('POST', 'rollback', function (reply) {
      if (reply && reply.code === 200) return show('');
      $('rollback').disabled = false;
      put('refusal', reply ? inWords(reply.msg) : text.lost);
    });
  }

  document.documentElement.lang = language ? 'zh-CN' : 'en';
  document.title = text.name;
  put('name', text.name);
  put('showHistory', text.history);
  put('historyTitle', text.history);
  put('closeHistory', text.close);
  put('showQuestion', text.back);
  put('rollback', text.back);
  put('keep', text.keep);
  put('consequence', text.consequence);
  $('showHistory').onclick = function () { drawHistory(); show('history'); };
  $('closeHistory').onclick = $('keep').onclick = function () { show(''); };
  $('showQuestion').onclick = showQuestion;
  $('rollback').onclick = rollBack;
  document.onkeydown = function (event) {
    if (sheet && event.keyCode === 27) show('');
  };
  heardAt = Date.now();
  draw();
  if (canListen()) listen();
  else poll();
  setInterval(function () {
    if (!source || Date.now() - heardAt > SILENCE) poll();
  }, 1000);
})();
`.replace('SILENCE', String(silenceMs));
