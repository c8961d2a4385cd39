"""Bad input is refused with its field and never its value, stores nothing, and does not hurt the service."""
import throng

if __name__ == '__main__':
    throng.main()
