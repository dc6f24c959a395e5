"""The console: thin views over `biobot.app`, in a process that never imports torch or numpy.

assets        the files under static/, in memory: a name that is not one of them is not a path
sessions      one-time links and the sessions that they open
middleware    access control: Host, Origin, session, size and patience, and the headers of every answer
page_context  what every page works with
jobs          the workers that sample, judge and measure, and their end
render        templates, and how times, numbers and texts are shown
queue, lab, tuning, training, importing, history   the pages
app           the routes
serve         the address, the server's life, and its end within three seconds
"""
